"""`potluck conformance`: how a server behaves as a gateway, asked from outside over HTTP.

Not here: anything of potluck. The checks know what OpenAI's, Anthropic's and Ollama's clients rely on, and no server.
"""
