"""How many records a second the audit takes when many wait for theirs, each until it is on the disk."""
