"""Chaos: random faults from a seed on a lab of hosts, under clients whose history is checked. `python -m tests.chaos --help`.

`schedule` says what goes wrong when (pure, from the seed), `faults` does it to the lab, `clients` work meanwhile and note down
what they did, `history` judges that, `watcher` looks at tasks and versions throughout, `leftovers` at the hosts in the end.
"""
