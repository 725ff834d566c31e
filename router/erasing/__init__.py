"""How a person or a document leaves this gateway: what would go, what is handed over before, and what is gone after."""
