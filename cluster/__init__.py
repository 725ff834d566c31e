"""The control plane: cluster.yaml, placement, reconciliation, links to nodes, the registry and what it publishes.

Not here: a client's request (router) or a process (nodes). Decisions are pure; one controller acts on them.
"""
