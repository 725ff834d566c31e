"""Facts: what a machine is, what a model file is, and which artifacts lie on this disk.

Not here: anything that runs, places or serves a model. This room imports no other room.
"""
