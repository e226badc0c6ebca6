"""A lab of many hosts on one machine: each with network, PID, mount, UTS, IPC and cgroup namespaces and a disk of its own.

    rack: a PID, mount and network namespace ─┬─ bridge lab0 (10.77.0.1) ── outside, where clients of the hosts live
                                              ├─ disks: one tmpfs for each host, which outlives the host's power cuts
                                              └─ hosts: manager1 (10.77.0.11) …, worker1 (10.77.0.101) …

A host's PID namespace lies inside the rack's, so that one SIGKILL ends a host as a power cut does, and one ends the lab. Nothing is
made in the machine's own network namespace.

hosts.py is the front door (`Lab`, `Host`); layout.py names things, rack.py and boot build them, groups.py has their cgroups,
links.py what goes wrong between hosts, cluster.py forms a cluster and waits for what should come about, commands.py is `lab`.
"""
