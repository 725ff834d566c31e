"""Sealed mode on one machine: what a process may connect to, who tried to do more, and what was seen all the same."""
