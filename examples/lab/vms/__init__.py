"""Virtual machines as hosts of the lab: QEMU, Debian's cloud kernel with version 2 cgroups, a root file system of Debian packages.

image.py builds what all machines boot from, once, into a cache; tree.py packs the project's tree for a start; switch.py is the
network between machines; machine.py is one machine: power, a shell, its API. guest/ is what runs inside.
"""
