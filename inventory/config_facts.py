"""A model's JSON settings as typed answers: a key is absent, or of the right type and in range, or an error."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from inventory.model_error import FolderError

MAX_CONFIG_BYTES = 2 << 20  # the longest in use list the layers that were not quantised, in some 100 KiB
LARGEST = 1 << 40  # no count, size or length in a model's shape comes near it

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """One JSON object. Where a key has several names in use, all are asked for and the first one present counts."""

    path: str
    values: Mapping[str, Json]

    def error(self, reason: str) -> FolderError:
        return FolderError(self.path, reason)

    def find(self, *names: str) -> tuple[str, Json]:
        """The first of these keys that is set to something, or an empty name."""
        return next(((name, self.values[name]) for name in names if self.values.get(name) is not None), ("", None))

    def integer(self, *names: str, least: int = 0, most: int = LARGEST) -> int | None:
        name, value = self.find(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"{name} should be a whole number")
        if not least <= value <= most:
            raise self.error(f"{name} is {value}; it must lie between {least} and {most}")
        return value

    def required(self, *names: str, least: int = 1, most: int = LARGEST) -> int:
        value = self.integer(*names, least=least, most=most)
        if value is None:
            raise self.error(f"{names[0]} is missing")
        return value

    def number(self, *names: str, least: float, most: float) -> float | None:
        name, value = self.find(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.error(f"{name} should be a number between {least:g} and {most:g}")
        return float(value)

    def text(self, *names: str) -> str | None:
        name, value = self.find(*names)
        if value is None or isinstance(value, str):
            return value
        raise self.error(f"{name} should be text")

    def flag(self, *names: str) -> bool | None:
        name, value = self.find(*names)
        if value is None or isinstance(value, bool):
            return value
        raise self.error(f"{name} should be true or false")

    def words(self, name: str) -> tuple[str, ...] | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, list):
            words = tuple(word for word in value if isinstance(word, str))
            if len(words) == len(value):
                return words
        raise self.error(f"{name} should be a list of words")

    def section(self, *names: str) -> "ConfigFacts | None":
        name, value = self.find(*names)
        if value is None:
            return None
        if isinstance(value, dict):
            return ConfigFacts(self.path, value)
        raise self.error(f"{name} should be an object")

    def with_section(self, *names: str) -> "ConfigFacts":
        """These facts with those of a section laid over them, as multimodal models keep their language model."""
        inner = self.section(*names)
        return self if inner is None else ConfigFacts(self.path, {**self.values, **inner.values})


def parse_config(content: bytes, path: str) -> ConfigFacts:
    """Raises FolderError. Refuses settings that would have an engine run code that comes with the model."""
    if len(content) > MAX_CONFIG_BYTES:
        raise FolderError(path, f"it has {len(content)} bytes; the limit is {MAX_CONFIG_BYTES}")
    try:
        value: Json = json.loads(content, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise FolderError(path, f"it is not proper JSON: {error}") from None
    if not isinstance(value, dict):
        raise FolderError(path, "it should be a JSON object")
    for key in _keys(value):
        refuse_code(key, path)
    return ConfigFacts(path, value)


def refuse_code(key: str, path: str) -> None:
    if key in ("auto_map", "trust_remote_code"):
        raise FolderError(
            path,
            f"{key} asks the engine to run Python code that comes with the model, and potluck never does. If your"
            " engines know this family themselves, import a copy without that key",
        )


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return found


def _keys(value: Json) -> Iterator[str]:
    """Every key at every depth; a stack, since the depth is the file's choice."""
    ahead: list[Json] = [value]
    while ahead:
        item = ahead.pop()
        if isinstance(item, dict):
            yield from item
            ahead.extend(item.values())
        elif isinstance(item, list):
            ahead.extend(item)
