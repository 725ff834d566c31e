"""The data plane: authenticate, admit, decide, relay. Serves clients from a published snapshot, never waits for a node.

Not here: starting engines or changing the cluster. This room never imports Ray, and never imports rag.
"""
