"""What each role may do. A key's own scopes narrow its role, and never widen it."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Literal, get_args

Role = Literal["admin", "operator", "user", "display"]
"""display: a screen on a wall, which shows how things stand and asks no model anything."""

Scope = Literal[
    "inference",
    "models.read",
    "status.read",
    "metrics.read",
    "route.explain",
    "usage.read",  # keys, without their secrets, and what was asked with them
    "operate",  # empty a machine, load and unload a model
    "audit.read",
    "admin",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_READING: frozenset[Scope] = frozenset({"models.read", "status.read", "metrics.read"})
_OPERATING: frozenset[Scope] = _READING | {"inference", "route.explain", "usage.read", "operate"}
SCOPES_OF: Mapping[Role, frozenset[Scope]] = MappingProxyType(
    {
        "admin": _OPERATING | {"audit.read", "admin"},
        "operator": _OPERATING,
        "user": frozenset({"inference", "models.read"}),
        "display": _READING,
    }
)


def granted(role: Role, narrowed: Collection[Scope] | None) -> frozenset[Scope]:
    """What a key may do: all that its role may, or those of its scopes that its role has as well."""
    return SCOPES_OF[role] if narrowed is None else SCOPES_OF[role] & frozenset(narrowed)
