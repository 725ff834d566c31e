"""How well documents are found, and what a question costs: `make bench-rag`."""
