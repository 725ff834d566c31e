"""Where documents and their vectors are kept: one protocol, a file beside potluck, or a server."""
