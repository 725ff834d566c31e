"""The gateway's doors to people's documents: OpenAI's vector stores, and potluck's own for folders of this machine."""
