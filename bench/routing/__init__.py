"""Every policy on the same requests, on simulated machines: `python -m bench.routing`."""
