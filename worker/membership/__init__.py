"""This node's place in a cluster: its identity, how it joins and leaves, and what follows from that on this machine."""
