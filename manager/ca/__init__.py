"""The cluster's certificate authority: roots, nodes' certificates, join tokens, and who may do what on the managers' TLS port.

`cryptography` is imported by certificates.py alone, and that by those who sign or check: a cluster that nobody joins never does.
"""
