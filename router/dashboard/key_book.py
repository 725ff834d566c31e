"""The keys of the cluster, never their secrets, and how each stands with its limits at this gateway. Pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from cluster.admin_wire import KeyFacts
from cluster.key_order import OWNER
from cluster.limits import NAMES, GroupLimits, Limits
from cluster.roles import granted
from router.limit_verdict import Use
from router.limits import Standing
from router.request import Identity


class LimitState(msgspec.Struct, frozen=True):
    """`used` counts now: within the last minute, today, or under way."""

    name: str
    limit: int
    used: int


class KeyRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`models` are those that it may use, with * for any characters; without it, every one."""

    name: str
    key_id: str
    role: str
    group: str
    tenant: str
    data_class: str
    state: str
    created: int  # wall time, as the others
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None = None
    front_end: bool = False
    expires: int | None = None
    revoked: int | None = None
    limits: tuple[LimitState, ...] = ()
    hours: tuple[str, ...] = ()  # of the week in which it is served; none: always


class GroupRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of cluster.yaml, or of a key. `each`: of every key in it that has no limits of its own."""

    name: str
    tenant: str
    keys: int
    priority: int = 0
    limits: tuple[LimitState, ...] = ()
    hours: tuple[str, ...] = ()
    each: dict[str, int] = {}


class KeyBook(msgspec.Struct, frozen=True):
    keys: tuple[KeyRow, ...]
    groups: tuple[GroupRow, ...]


Standings = Callable[[str], tuple[Identity, tuple[Standing, ...]] | None]
"""How the holder of a key, by its id, stands; None where it is not taken any more."""


def key_book(
    keys: Iterable[KeyFacts], standings: Standings, groups: Mapping[str, GroupLimits], wall_s: float
) -> KeyBook:
    rows: list[KeyRow] = []
    together: dict[tuple[str, str], tuple[int, Standing | None]] = {}
    for facts in keys:
        known = standings(facts.key_id) if facts.revoked_s is None else None
        accounts = known[1] if known is not None else ()
        rows.append(_row(facts, next((one for one in accounts if one.kind == "key"), None), wall_s))
        if known is not None and facts.tenant != OWNER:  # whom nothing limits
            name = (facts.tenant, facts.group)
            count, standing = together.get(name, (0, None))
            found = next((one for one in accounts if one.kind == "group"), None)
            together[name] = (count + 1, found or standing)
    return KeyBook(tuple(rows), tuple(_group(name, *known, groups) for name, known in sorted(together.items())))


def _row(facts: KeyFacts, standing: Standing | None, wall_s: float) -> KeyRow:
    expired = facts.expires_s is not None and facts.expires_s <= wall_s
    return KeyRow(
        name=facts.name,
        key_id=facts.key_id,
        role=facts.role,
        group=facts.group,
        tenant=facts.tenant,
        data_class=facts.data_class,
        state="revoked" if facts.revoked_s is not None else "expired" if expired else "valid",
        created=facts.created_s,
        scopes=tuple(sorted(granted(facts.role, facts.scopes))),
        models=facts.models,
        front_end=facts.front_end,
        expires=facts.expires_s,
        revoked=facts.revoked_s,
        limits=_states(standing),
        hours=_hours(standing),
    )


def _group(name: tuple[str, str], count: int, standing: Standing | None, groups: Mapping[str, GroupLimits]) -> GroupRow:
    tenant, group = name
    rules = groups.get(group, GroupLimits())
    return GroupRow(
        name=group,
        tenant=tenant,
        keys=count,
        priority=rules.priority,
        limits=_states(standing),
        hours=_hours(standing),
        each={name: limit for name, limit, _ in _numbers(rules.each, Use())},
    )


def _states(standing: Standing | None) -> tuple[LimitState, ...]:
    if standing is None:
        return ()
    return tuple(LimitState(*one) for one in _numbers(standing.limits, standing.use))


def _hours(standing: Standing | None) -> tuple[str, ...]:
    return standing.limits.hours or () if standing is not None else ()


def _numbers(limits: Limits, use: Use) -> list[tuple[str, int, int]]:
    """Those that are set. Tokens that requests under way may take are counted as used, as the limits do."""
    used = {
        "requests_per_minute": use.requests_minute,
        "requests_per_day": use.requests_day,
        "tokens_per_minute": use.tokens_minute + use.reserved,
        "tokens_per_day": use.tokens_day + use.reserved,
        "concurrency": use.in_flight,
    }
    return [(name, limit, used[name]) for name in NAMES if isinstance(limit := getattr(limits, name), int)]
