"""Who a node is: its id, its place in a cluster, its certificate and keys; and TLS by them.

Managers and workers share it. What follows from it on the machine is worker/membership's, issuing is manager/ca's work.
`cryptography` is imported only by what needs it: a node alone never does.
"""

from common.identity.file import IdentityFile
from common.identity.identity import Identity, Keys

__all__ = ["Identity", "IdentityFile", "Keys"]
