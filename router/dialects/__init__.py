"""Wire dialects: each file translates one public API to and from the one internal request. Dialects die here."""
