"""What the dashboard's routes take and give, beside the state."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.access import PRESENTED_BYTES


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`code` is of the key's second factor, where it has one."""

    key: Annotated[str, Meta(max_length=PRESENTED_BYTES)]
    code: Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")] | None = None


class SessionFacts(msgspec.Struct, frozen=True):
    """Whose session it is, and what it may do. It ends after `idle_s` seconds without use."""

    name: str
    role: str
    scopes: tuple[str, ...]
    idle_s: int


class LoginWays(msgspec.Struct, frozen=True, omit_defaults=True):
    """How else than by a key people may log in. `oidc` is what the operator calls the issuer."""

    oidc: str | None = None


class SessionEnded(msgspec.Struct, frozen=True):
    ended: Literal[True] = True


class Acted(msgspec.Struct, frozen=True):
    """The head has taken it up; what becomes of it is in the state."""

    name: str
    done: Literal[True] = True


class FitQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """As the head's own route takes it: what is left out here is left to it."""

    model: Annotated[str, Meta(min_length=1, max_length=128)]
    context: Annotated[int, Meta(ge=1)] | None = None
    users: Annotated[int, Meta(ge=1, le=4096)] | None = None
    quant: Annotated[str, Meta(max_length=32)] | None = None
    kv_bits: Literal[8, 16] | None = None
    node: Annotated[str, Meta(max_length=63)] | None = None
