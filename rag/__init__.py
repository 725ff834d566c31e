"""Retrieval over private documents. It reaches embeddings and models through the gateway over HTTP, like any client.

Not here: routing or serving. This room never imports router.
"""
