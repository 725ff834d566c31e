"""Metadata of a GGUF header as typed answers: a key is absent, or of the right type and in range, or an error."""

from dataclasses import dataclass

from inventory.gguf_header import GgufArray, GgufError, GgufHeader

LARGEST = 1 << 40  # no count, size or length in a model's shape comes near it


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """One header's metadata; keys of the model's shape carry the architecture as a prefix."""

    header: GgufHeader
    architecture: str

    def error(self, reason: str) -> GgufError:
        return GgufError(self.header.path, reason)

    def text(self, key: str) -> str | None:
        value = self.header.metadata.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.error(f"{key} should be text")

    def integer(self, key: str, least: int = 0, most: int = LARGEST) -> int | None:
        value = self.header.metadata.get(key)
        if value is None:
            return None
        return self._checked(key, value, least, most)

    def shape_integer(self, key: str, least: int = 0, most: int = LARGEST) -> int | None:
        return self.integer(f"{self.architecture}.{key}", least, most)

    def required(self, key: str, least: int = 1, most: int = LARGEST) -> int:
        value = self.shape_integer(key, least, most)
        if value is None:
            raise self.error(f"{self.architecture}.{key} is missing")
        return value

    def flag(self, key: str) -> bool | None:
        value = self.header.metadata.get(f"{self.architecture}.{key}")
        if value is None or isinstance(value, bool):
            return value
        raise self.error(f"{self.architecture}.{key} should be true or false")

    def per_layer(self, key: str, layers: int) -> tuple[int, ...] | None:
        """One integer for all layers, or an array with one for each (booleans count as 0 and 1)."""
        name = f"{self.architecture}.{key}"
        value = self.header.metadata.get(name)
        if value is None:
            return None
        if not isinstance(value, GgufArray):
            return (self._checked(name, value, 0, LARGEST),) * layers
        if value.values is None or value.length < layers:
            raise self.error(f"{name} has {value.length} entries for {layers} layers")
        entries = value.values[:layers]
        return tuple(self._checked(name, int(e) if isinstance(e, bool) else e, 0, LARGEST) for e in entries)

    def is_array(self, key: str) -> bool:
        return isinstance(self.header.metadata.get(f"{self.architecture}.{key}"), GgufArray)

    def length(self, key: str) -> int | None:
        value = self.header.metadata.get(key)
        return value.length if isinstance(value, GgufArray) else None

    def _checked(self, key: str, value: object, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"{key} should be a whole number")
        if not least <= value <= most:
            raise self.error(f"{key} is {value}; it must lie between {least} and {most}")
        return value
