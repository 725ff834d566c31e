"""One machine's body: the node daemon, its engines and their supervision, and the relay both hops share.

Not here: other machines, or why an engine should run. Orders come from the cluster room through the node API.
"""
