"""Which documents a question is about, by their attributes: the filters of OpenAI's vector stores. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Literal, TypeAlias

from cluster.knowledge import Attribute

MOST_CONDITIONS = 64
DEEPEST = 8

Comparison = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
_ORDERS: Mapping[str, Callable[[Attribute, Attribute], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


class FilterError(ValueError):
    """A filter that cannot be. Handled by the routes: a 400 that says which part of it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One attribute. A document that lacks it passes `ne` and `nin` only."""

    type: Comparison
    key: str
    value: Attribute | tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Group:
    type: Literal["and", "or"]
    filters: tuple["Filter", ...]


Filter: TypeAlias = Condition | Group


def matches(condition: Filter | None, attributes: Mapping[str, Attribute]) -> bool:
    """Whether a document with these attributes is meant."""
    if condition is None:
        return True
    if isinstance(condition, Group):
        each = (matches(one, attributes) for one in condition.filters)
        return all(each) if condition.type == "and" else any(each)
    value = attributes.get(condition.key)
    wanted = condition.value
    if isinstance(wanted, tuple):
        found = value is not None and any(_same(value, one) for one in wanted)
        return found if condition.type == "in" else not found
    if condition.type in ("eq", "ne"):
        return (value is not None and _same(value, wanted)) == (condition.type == "eq")
    return value is not None and _ordered(value, wanted) and _ORDERS[condition.type](value, wanted)


def read_filter(told: object) -> Filter:
    """From JSON. Raises FilterError."""
    left = [MOST_CONDITIONS]
    return _read(told, "filters", left, 0)


def _read(told: object, place: str, left: list[int], depth: int) -> Filter:
    left[0] -= 1
    if left[0] < 0:
        raise FilterError(f"{place}: a filter has {MOST_CONDITIONS} conditions at the most")
    if depth > DEEPEST:
        raise FilterError(f"{place}: filters lie in each other {DEEPEST} deep at the most")
    if not isinstance(told, Mapping):
        raise FilterError(f"{place} should be an object with `type`")
    kind = told.get("type")
    if kind in ("and", "or"):
        inner = told.get("filters")
        if not isinstance(inner, Sequence) or isinstance(inner, str) or not inner:
            raise FilterError(f"{place}.filters should be a list with a filter in it")
        parts = tuple(_read(one, f"{place}.filters[{at}]", left, depth + 1) for at, one in enumerate(inner))
        return Group("and" if kind == "and" else "or", parts)
    if kind not in ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"):
        raise FilterError(f"{place}.type should be one of eq, ne, gt, gte, lt, lte, in, nin, and, or")
    key, value = told.get("key"), told.get("value")
    if not isinstance(key, str) or not key:
        raise FilterError(f"{place}.key should name an attribute")
    return Condition(kind, key, _values(value, place) if kind in ("in", "nin") else _value(value, place))


def _values(told: object, place: str) -> tuple[Attribute, ...]:
    if not isinstance(told, Sequence) or isinstance(told, str):
        raise FilterError(f"{place}.value should be a list")
    return tuple(_value(one, place) for one in told)


def _value(told: object, place: str) -> Attribute:
    if isinstance(told, bool | str):
        return told
    if isinstance(told, int | float):
        return float(told)
    raise FilterError(f"{place}.value should be text, a number, or true or false")


def _same(one: Attribute, other: Attribute) -> bool:
    return _ordered(one, other) and one == other


def _ordered(one: Attribute, other: Attribute) -> bool:
    """Whether they are of one kind: true is no number."""
    return isinstance(one, bool) == isinstance(other, bool) and isinstance(one, str) == isinstance(other, str)
