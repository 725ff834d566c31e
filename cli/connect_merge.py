"""Entries merged into the text of a configuration file: what else the file says stays, its comments included."""

import json
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from io import SEEK_END, StringIO
from typing import Any

import ruamel.yaml
import tomlkit
from ruamel.yaml.error import YAMLError
from tomlkit.exceptions import TOMLKitError

from cli.connect_setup import Form, Tree

NAMES = ("model_id", "name")  # what tells the objects of a list apart, in the files of every client
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")


class UnreadableError(Exception):
    """The text is not what its form says, or nothing can be put where the entries belong. Says why."""


def merged(form: Form, text: str | None, tree: Tree) -> str:
    """The whole new text. Without an old one: the entries alone. Raises UnreadableError."""
    return _MERGE[form](text, tree)


def grown(old: Any, new: Any, where: str = "") -> Any:
    """`old` with `new` in it, in place. Objects of a list are the same if their names are."""
    if isinstance(new, Mapping) and isinstance(old, MutableMapping):
        for key, value in new.items():
            old[key] = grown(old[key], value, f"{where}.{key}") if key in old else value
        return old
    if _is_list(new) and isinstance(old, MutableSequence):
        for item in new:
            at = next((at for at, other in enumerate(old) if _same(other, item)), None)
            if at is None:
                old.append(item)
            else:
                old[at] = grown(old[at], item, where)
        return old
    if isinstance(new, Mapping) or _is_list(new):
        raise UnreadableError(f"`{where.lstrip('.') or 'it'}` holds something else than potluck would add to")
    return new


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _same(one: object, other: object) -> bool:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one == other
    return any(name in other and one.get(name) == other[name] for name in NAMES)


def _json(text: str | None, tree: Tree) -> str:
    if text is None or not text.strip():
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    try:
        old = json.loads(text)
    except ValueError as error:
        raise UnreadableError(f"it is not plain JSON ({error}); comments cannot be kept") from None
    found = re.search(r"\n([ \t]+)\S", text)
    return json.dumps(grown(old, tree), indent=found[1] if found else 2, ensure_ascii=False) + "\n"


def _toml(text: str | None, tree: Tree) -> str:
    try:
        document = tomlkit.parse(text or "")
        grown(document, tree)
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise UnreadableError(f"it is not valid TOML ({error})") from None


def _yaml(text: str | None, tree: Tree) -> str:
    rules = ruamel.yaml.YAML()
    rules.preserve_quotes = True
    rules.width = 4096  # never fold a line of the user's
    rules.indent(mapping=2, sequence=4, offset=2)
    try:
        old = rules.load(text or "")
        out = StringIO((text or "") if old is None else "")  # which may be comments
        out.seek(0, SEEK_END)
        rules.dump(tree if old is None else grown(old, tree), out)
    except (YAMLError, IndexError) as error:  # it stumbles over keys that begin with a dash
        raise UnreadableError(f"it is not valid YAML ({_first_line(error)})") from None
    return out.getvalue()


def _env(text: str | None, tree: Tree) -> str:
    lines, left = [], dict(tree) if isinstance(tree, Mapping) else {}
    for line in (text or "").rstrip("\n").split("\n") if text else ():
        name = line.removeprefix("export ").partition("=")[0].strip()
        lines.append(f"{name}={_quoted(str(left.pop(name)))}" if name in left else line)
    lines += [f"{name}={_quoted(str(value))}" for name, value in left.items()]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "'\\''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


_MERGE: Mapping[Form, Callable[[str | None, Tree], str]] = {"json": _json, "toml": _toml, "yaml": _yaml, "env": _env}
