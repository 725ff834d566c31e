"""Personal data and secrets in a text: where they stand, what is to become of them, and the text after that. Pure."""
