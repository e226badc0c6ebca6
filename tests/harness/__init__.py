"""What tests share: daemons in network namespaces of their own, images made in place, looks at what a machine still holds."""
