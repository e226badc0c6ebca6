"""Virtual machines as hosts of the lab: QEMU, Debian's cloud kernel with version 2 cgroups, a root file system of Debian packages.

image.py builds what all machines boot from, once, into a cache; accelerator.py finds out how QEMU can run them; tree.py packs the
project's tree for a start; machine.py is QEMU's command line, host.py the host that the lab sees. guest/ is what runs inside.
"""
