"""The one internal request: what every dialect becomes, and all that routing, accounting and records may look at."""

from collections.abc import Callable
from typing import Literal, Protocol, get_args, runtime_checkable

import msgspec

from cluster.pii.policy import Policy
from cluster.roles import Role, Scope
from inventory.catalog import ModelName
from nodes.snapshot import NodeId
from router.borders import class_set
from router.errors import ApiError
from router.file_search import FileSearch, Searched
from router.pii_guard import Guard, Marks
from router.side_calls import SideCall
from router.trace_context import TraceContext

EngineApi = Literal["chat", "completions", "embeddings", "rerank"]
"""What engines are asked in."""
ENGINE_APIS: tuple[EngineApi, ...] = get_args(EngineApi)
Api = Literal[
    "chat", "completions", "messages", "responses", "ollama_chat", "ollama_generate",
    "embeddings", "rerank", "ollama_embed", "ollama_embeddings",
]  # fmt: skip
"""What clients speak."""
Feature = Literal[
    "tools", "tool_choice", "response_format", "n", "logprobs", "logit_bias", "media",
    "embeddings", "rerank", "dimensions", "token_ids",
]  # fmt: skip
"""What not every kind of engine can do, mostly by the name of the field that asks for it."""
WRITING: frozenset[EngineApi] = frozenset({"chat", "completions"})
"""Answered token by token; the others at once."""
TOKEN_HOLDER = "jwt:"  # begins the key id of whoever came with an issuer's token
PERSON = "oidc:"  # begins the key id of whoever logged in at the dashboard by an issuer


Asker = tuple[str, str | None]
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
    line: str = ""  # the id of the key that this one was first: rotation keeps what it owns; "": of no key
    user: str | None = None  # the person: as a front end says, or a token's subject
    pii: Policy | None = None  # what becomes of personal data in what it sends and gets; None: as cluster.yaml says
    answers_kept_s: int | None = None  # for so long its tenant's answers are given again; None: as the model says

    @property
    def asker(self) -> Asker:
        """Whoever counts as one where all must get their share."""
        return self.key_id, self.user


class Prompt(Protocol):
    """A validated body of some dialect, ready to be written for an engine."""

    def encode(self, served_name: str, stream: bool) -> bytes: ...

    def said(self) -> str:
        """The user's own words: what rules that choose a model look at."""
        ...

    def read(self) -> bytes:
        """What an engine reads, if not as it reads it: two prompts that begin alike begin alike here."""
        ...


class SizeOnly:
    """A prompt of which only the length is known."""

    def encode(self, served_name: str, stream: bool) -> bytes:
        return b""

    def said(self) -> str:
        return ""

    def read(self) -> bytes:
        return b""


class Voice(Protocol):
    """Says to the client of one call, in its dialect, what an engine says. Keeps what a stream has said so far."""

    content_type: bytes  # of a stream
    comments: bool  # a stream has lines that mean nothing, and keep a client waiting

    def whole(self, body: bytes) -> bytes:
        """An engine's whole answer. Raises msgspec.DecodeError where it is none."""
        ...

    def events(self, events: bytes) -> bytes:
        """Whole events of an engine's stream, the marker of its end with the last. Raises msgspec.DecodeError."""
        ...

    def broken(self, error: ApiError) -> bytes:
        """The proper end of a stream that cannot go on."""
        ...


@runtime_checkable
class Citing(Protocol):
    """A voice whose dialect has a place for sources."""

    def citing(self, searched: Searched) -> Voice:
        """Whoever says the same answer with them."""
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
    session: str | None = None  # the conversation, where the body names one
    engine_api: EngineApi = "chat"
    needs: frozenset[Feature] = frozenset()  # of its engine
    voice: "Callable[[Arrival, int], Voice] | None" = None  # made for one call and its prompt's tokens; None: as it is
    all_characters: int | None = None  # of all prompts together; None: as of the one
    known_tokens: int | None = None  # of all prompts, where they came as token ids
    prompt_field: str = "messages"  # that holds what an engine reads
    side: SideCall | None = None  # a front end asks for itself, beside a conversation
    guard: Guard | None = None  # who looked through its prompt for personal data; None: nobody
    search: FileSearch | None = None  # what its client says of people's documents; None: nothing

    @property
    def writes(self) -> bool:
        """Its engine writes, a token after the other. What only reads is a lane of its own: it takes no writer's place,
        and waits behind none."""
        return self.engine_api in WRITING

    @property
    def marks(self) -> Marks | None:
        """What was found of personal data."""
        return None if self.guard is None else self.guard.marks

    @property
    def characters(self) -> int:
        """That an engine has to read."""
        return self.prompt_characters if self.all_characters is None else self.all_characters


class Arrival(msgspec.Struct, frozen=True):
    """A request whose sender is known and whose body is not read yet."""

    request_id: str  # ours: authoritative, passed to engines
    client_request_id: str | None  # the client's own, recorded and echoed, never trusted as an address
    api: Api
    identity: Identity
    arrived_s: float  # monotonic
    arrived_wall_s: float
    session: str | None = None  # the conversation, where a header names one
    deadline_s: float | None = None  # monotonic: of its first token, where the client names one
    side: SideCall | None = None  # where a header says that a front end asks for itself
    fresh: bool = False  # the client wants no answer that was given before, and its own not kept
    guest_on: NodeId | None = None  # nobody waits for it: it runs on this machine while that is idle, or not at all
    batch_id: str | None = None  # whose line it is
    within: bool = False  # part of a request that was let in: it takes no place of its own, and goes on in a drain
    trace: TraceContext | None = None  # where traces are kept
    scheme: str = ""  # and host, by which the client came
    host: bytes | None = None
    added: frozenset[str] = frozenset()  # privacy classes beside its key's

    @property
    def classes(self) -> frozenset[str]:
        """All that it is of: nothing that a client says takes its key's away."""
        own = class_set(self.identity.data_class)
        return own | self.added if self.added else own

    @property
    def origin(self) -> str:
        """What begins the address of something that the client may fetch; "" where that is not known."""
        return f"{self.scheme}://{self.host.decode('latin-1')}" if self.scheme and self.host else ""


class InferenceRequest(msgspec.Struct, frozen=True):
    """One request, from arrival to record."""

    arrival: Arrival
    model: ModelName  # as resolved; `parsed.model` is what the client asked for
    parsed: Parsed
    prompt_tokens: int = 0  # as far as its characters tell
    priority: int = 0  # higher goes first, whoever it is
    found: frozenset[str] = frozenset()  # privacy classes of the documents in its prompt

    @property
    def classes(self) -> frozenset[str]:
        """Where it may run follows from them, at each decision anew: cluster.yaml may have changed while it waited."""
        return self.arrival.classes | self.found if self.found else self.arrival.classes

    @property
    def asker(self) -> Asker:
        return self.arrival.identity.asker

    @property
    def deadline_s(self) -> float | None:
        return self.arrival.deadline_s

    @property
    def is_guest(self) -> bool:
        return self.arrival.guest_on is not None

    @property
    def request_id(self) -> str:
        return self.arrival.request_id
