"""Copying between this machine and a container: where things land, packing and unpacking archives."""
