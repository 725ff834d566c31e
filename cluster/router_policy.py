"""How the gateway chooses models and engines that can serve: what cluster.yaml may say, and the snapshot tells."""

from typing import Literal

RouterPolicy = Literal["seconds", "round-robin", "least-requests", "power-of-two", "weighted-sum"]
"""`seconds` is potluck's own; the others are there to be compared with it."""

SideCalls = Literal["warm", "as_asked"]
"""What front ends ask beside a conversation: answered by what is awake, or like any other request."""

Warming = Literal["off", "on"]
"""Whether idle machines read beginnings of prompts ahead that several sessions share."""
