"""Measurements beside the peers that are installed. `bench/run NAME` prints a table, `--json` one object per figure."""
