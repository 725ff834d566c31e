"""What is wrong with a cluster.yaml, in words that say where it is and what to write instead."""

import difflib
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from cluster.config import ClusterConfig
from cluster.config_values import ALIAS_PATTERN, MODEL_NAME_PATTERN, NODE_NAME_PATTERN
from cluster.yaml_tree import Path

_NAME_RULES = {
    NODE_NAME_PATTERN: "a name is made of lower-case letters, digits and inner hyphens",
    MODEL_NAME_PATTERN: "a model name is made of lower-case letters, digits, and inner hyphens and dots",
    ALIAS_PATTERN: "an alias is made of letters, digits and . _ : / -",
}
_WORDS = {
    "missing": "is missing",
    "dict_type": "must hold keys of its own (`key: value`, indented)",
    "model_type": "must hold keys of its own (`key: value`, indented)",
    "tuple_type": "must be a list, like [one, two]",
    "string_type": "must be text; put quotes around it",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
}


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        where = ".".join(str(part) for part in self.path)
        line = f"line {self.line}" if self.line is not None else ""
        if not where:
            return f"{line}: {self.message}" if line else self.message
        return f"{where} ({line}): {self.message}" if line else f"{where}: {self.message}"


class ConfigError(Exception):
    """A configuration that is refused as a whole. Handled by the CLI, which prints it, and the admin API (400)."""

    def __init__(self, name: str, problems: Sequence[ConfigProblem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{name} has {count}:", *(f"  {problem}" for problem in problems)]))
        self.name, self.problems = name, tuple(problems)


def explain(error: ErrorDetails) -> tuple[Path, str]:
    """A pydantic error -> the YAML path it is about, and a sentence."""
    path: Path = tuple(part for part in error["loc"] if part != "[key]")
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        return path, _unknown_key(path)
    if error["type"] == "value_error":
        return path, str(context["error"])
    if error["type"] == "literal_error":
        return path, _not_one_of(error["input"], str(context["expected"]))
    if error["type"] == "string_pattern_mismatch":
        rule = _NAME_RULES.get(str(context["pattern"]), f"must match {context['pattern']}")
        return path, f"{error['input']!r} is not allowed: {rule}"
    if error["type"] in ("greater_than_equal", "less_than_equal"):
        return path, f"{error['input']!r} is out of range: {error['msg'].removeprefix('Input ')}"
    return path, _WORDS.get(error["type"], error["msg"])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the closest known word, or all of them where they are few; "" where neither helps."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known here: {', '.join(choices)}" if 0 < len(choices) <= 12 else ""


def _unknown_key(path: Path) -> str:
    return "unknown key" + did_you_mean(str(path[-1]), keys_at(path[:-1]))


def _not_one_of(given: object, expected: str) -> str:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    hint = did_you_mean(given, choices) if isinstance(given, str) else ""
    suffix = hint if hint.startswith("; did") else ""
    return f"{given!r} is not one of {', '.join(choices)}{suffix}" if len(choices) > 1 else f"must be {choices[0]}"


def keys_at(path: Path) -> tuple[str, ...]:
    """The keys that the section at `path` knows; empty where the path leads to no section."""
    section: type[BaseModel] | None = ClusterConfig
    annotation: object = ClusterConfig
    for part in path:
        if section is not None:
            field = section.model_fields.get(str(part))
            annotation = field.annotation if field else None
        else:
            annotation = typing.get_args(annotation)[-1] if typing.get_args(annotation) else None
        section = _section_in(annotation)
    return tuple(section.model_fields) if section else ()


def _section_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    if isinstance(annotation, types.UnionType):
        return next((found for part in typing.get_args(annotation) if (found := _section_in(part))), None)
    return None
