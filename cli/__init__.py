"""Words and wiring: Typer commands, rendering, and the one place where concrete classes meet (wire.py).

Not here: decisions. A command parses, calls one function and renders what it returns.
"""
