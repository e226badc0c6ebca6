"""The user's terminal and a container's streams: frames, raw mode, attached sessions, signals."""
