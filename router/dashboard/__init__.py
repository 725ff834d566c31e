"""The dashboard: its page and assets, who is logged in, and what the page shows as documents and as one stream."""
