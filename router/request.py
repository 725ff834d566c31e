"""The one internal request: what every dialect becomes, and all that routing, accounting and records may look at."""

from typing import Literal, Protocol

import msgspec

from cluster.roles import Role, Scope
from inventory.catalog import ModelName

Api = Literal["chat", "completions"]


class Identity(msgspec.Struct, frozen=True):
    """Who asks, as the key's record or the issuer's token says. A client cannot set any of it."""

    key_id: str
    tenant: str
    group: str
    role: Role
    data_class: str
    scopes: frozenset[Scope]
    models: tuple[str, ...] | None = None  # names it may use, with * for any characters; None: every one
    front_end: bool = False  # may say for which of its users it asks
    user: str | None = None  # the person: as a front end says, or a token's subject


class Prompt(Protocol):
    """A validated body of some dialect, ready to be written for an engine."""

    def encode(self, served_name: str, stream: bool) -> bytes: ...


class Parsed(msgspec.Struct, frozen=True):
    """What a dialect found in a body. Sizes are what routing needs before anybody has counted tokens."""

    model: str
    stream: bool
    usage_wanted: bool  # the client asked for the usage chunk of a stream
    prompt_characters: int
    output_tokens_limit: int | None
    prompt: Prompt


class Arrival(msgspec.Struct, frozen=True):
    """A request whose sender is known and whose body is not read yet."""

    request_id: str  # ours: authoritative, passed to engines
    client_request_id: str | None  # the client's own, recorded and echoed, never trusted as an address
    api: Api
    identity: Identity
    arrived_s: float  # monotonic
    arrived_wall_s: float


class InferenceRequest(msgspec.Struct, frozen=True):
    """One request, from arrival to record."""

    arrival: Arrival
    model: ModelName  # as resolved; `parsed.model` is what the client asked for
    parsed: Parsed
    priority: int = 0  # higher goes first; one level until the fair queue exists
    deadline_s: float | None = None  # monotonic
    zones: frozenset[str] | None = None  # where it may run; None is anywhere

    @property
    def request_id(self) -> str:
        return self.arrival.request_id
