"""The one internal request: what every dialect becomes, and all that routing, accounting and records may look at."""

from typing import Literal, Protocol

import msgspec

from cluster.roles import Role, Scope
from inventory.catalog import ModelName

Api = Literal["chat", "completions"]
TOKEN_HOLDER = "jwt:"  # begins the key id of whoever came with an issuer's token


Consumer = tuple[str, str | None]
"""A key, and the person where that is known."""


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

    @property
    def consumer(self) -> Consumer:
        """Whoever counts as one where all must get their share."""
        return self.key_id, self.user


class Prompt(Protocol):
    """A validated body of some dialect, ready to be written for an engine."""

    def encode(self, served_name: str, stream: bool) -> bytes: ...

    def said(self) -> str:
        """The user's own words: what rules that choose a model look at."""
        ...


class Parsed(msgspec.Struct, frozen=True):
    """What a dialect found in a body. Sizes are what routing needs before anybody has counted tokens."""

    model: str
    stream: bool
    usage_wanted: bool  # the client asked for the usage chunk of a stream
    prompt_characters: int
    output_tokens_limit: int | None  # of each answer
    prompt: Prompt
    prompts: int = 1  # in one body; `prompt_characters` is of the longest
    choices: int = 1  # answers to each


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
    priority: int = 0  # higher goes first, whoever it is
    deadline_s: float | None = None  # monotonic
    zones: frozenset[str] | None = None  # where it may run; None is anywhere

    @property
    def request_id(self) -> str:
        return self.arrival.request_id
