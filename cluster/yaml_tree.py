"""YAML text -> plain values plus the line each one stands on. Strict where YAML is loose.

Scalars follow YAML 1.2's core schema: `on` is a key and not `true`, `22:30` is text and not 1350. Duplicate keys,
merge keys and tags are errors, and a document that expands beyond a bound is refused (aliases can make it do so).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

Path = tuple[str | int, ...]
Scalar = str | int | float | bool | None
Value = Scalar | Sequence["Value"] | Mapping[str, "Value"]

MAX_VALUES = 20_000
MAX_DEPTH = 20

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_PLAIN_TAGS = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class YamlProblem:
    path: Path
    line: int | None
    message: str


@dataclass(frozen=True, slots=True)
class YamlTree:
    """`lines` maps the path of every value to the line of its key (or of the value itself, in a list)."""

    value: Value
    lines: Mapping[Path, int]
    problems: tuple[YamlProblem, ...]

    def line_of(self, path: Path) -> int | None:
        """The line of `path`, or of its closest parent that the text has."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def parse_yaml(text: str) -> YamlTree:
    """Never raises for bad text: what is wrong with it is in `problems`."""
    try:
        if _too_deep(text):
            return YamlTree({}, {}, (YamlProblem((), None, f"more than {MAX_DEPTH} levels deep"),))
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        return YamlTree({}, {}, (YamlProblem((), line, f"not YAML: {error.problem}"),))
    except yaml.YAMLError as error:
        return YamlTree({}, {}, (YamlProblem((), None, f"not YAML: {error}"),))
    if root is None:
        return YamlTree({}, {}, (YamlProblem((), 1, "the file is empty; it needs at least `version: 1`"),))
    walk = _Walk()
    value = walk.value(root, ())
    return YamlTree(value, walk.lines, tuple(walk.problems))


def _too_deep(text: str) -> bool:
    """Looks at parser events first: composing text nested 100,000 levels deep overflows the C stack (it crashed)."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


class _TooLargeError(Exception):
    """Ends a walk that has met its bound. Caught by the walk itself."""


class _Walk:
    """One pass over the parsed nodes."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[YamlProblem] = []
        self._seen = 0

    def value(self, node: yaml.Node, path: Path) -> Value:
        try:
            self.lines[path] = node.start_mark.line + 1
            return self._convert(node, path)
        except _TooLargeError as error:
            self.problems.append(YamlProblem((), None, str(error)))
            return {}

    def _convert(self, node: yaml.Node, path: Path) -> Value:
        self._seen += 1
        if self._seen > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _TooLargeError(f"more than {MAX_VALUES} values or {MAX_DEPTH} levels; is an alias (*name) nested?")
        if not node.tag.startswith(_PLAIN_TAGS) or "python/" in node.tag:
            self._report(path, node, f"tags are not allowed here ({node.tag})")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, path)
        assert isinstance(node, yaml.ScalarNode), "YAML has three kinds of node"
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Mapping[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(path, key_node, "a key must be plain text")
                continue
            key: str = key_node.value
            here = (*path, key)
            if key == "<<" and not key_node.style:
                self._report(here, key_node, "merge keys (<<) are not allowed; write the keys out")
            elif key in result:
                self._report(here, key_node, f"duplicate key; the first one is on line {self.lines[here]}")
            else:
                self.lines[here] = key_node.start_mark.line + 1
                result[key] = self._convert(value_node, here)
        return result

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> Sequence[Value]:
        result: list[Value] = []
        for index, item in enumerate(node.value):
            self.lines[*path, index] = item.start_mark.line + 1
            result.append(self._convert(item, (*path, index)))
        return result

    def _report(self, path: Path, node: yaml.Node, message: str) -> None:
        self.problems.append(YamlProblem(path, node.start_mark.line + 1, message))


def _scalar(node: yaml.ScalarNode) -> Scalar:
    text: str = node.value
    if node.style:  # quoted or a block: text, whatever it looks like
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) <= 20:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
