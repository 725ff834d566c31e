"""What changed between two JSON documents, as an RFC 7396 merge patch: null removes a key, so no document holds one."""

from collections.abc import Mapping

Json = object
"""None, bool, int, float, str, a list, or a dict by text of these."""


def bare(value: Json) -> Json:
    """The same without keys of unknown value: what is not there is not known."""
    if isinstance(value, Mapping):
        return {key: bare(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [bare(inner) for inner in value]
    return value


def difference(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    """Empty where nothing changed. Neither holds a None, but within a list."""
    changed: dict[str, Json] = {key: None for key in before if key not in after}
    for key, value in after.items():
        known = before.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            inner = difference(known, value)
            if inner:
                changed[key] = inner
        elif key not in before or not _same(known, value):
            changed[key] = value
    return changed


def patched(document: Json, patch: Json) -> Json:
    """By the algorithm of RFC 7396, as clients apply it."""
    if not isinstance(patch, Mapping):
        return patch
    result: dict[str, Json] = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def _same(one: Json, other: Json) -> bool:
    """As JSON: there 1, 1.0 and true are three values."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other
