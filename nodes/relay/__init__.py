"""The byte relay: a request head, a body and a writer in; an engine's answer out. It knows no ASGI and no dialect."""
