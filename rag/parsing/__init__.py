"""From a file's bytes to blocks of clean text, each with the place where a person finds it."""
