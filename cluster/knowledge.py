"""What both sides of the door to people's documents speak of: who asks, stores, their files, and what was found. Pure.

`router` asks, as its protocol says (router.server_tools); `rag` answers. They are strangers to each other, so what they
say to each other stands here. Times are wall clock, in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from cluster.pii.policy import Policy

Attribute: TypeAlias = str | float | bool
"""A value of a file's own metadata, as OpenAI's vector stores have them."""

FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]
Trouble = Literal[
    "not_found",
    "forbidden",
    "invalid",
    "conflict",
    "too_large",
    "unsupported_file",
    "no_encoder",
    "limited",
    "not_ready",
    "broken",
]
"""Kinds of things that go wrong: the door makes a status of its dialect from them."""


class KnowledgeError(Exception):
    """What failed, where, and what to do next. Handled by the doors, which say it in their dialect."""

    def __init__(self, trouble: Trouble, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.trouble, self.code, self.message, self.param = trouble, code, message, param
        self.retry_s: float | None = None  # after which it may go better, where that is known


class Reader(msgspec.Struct, frozen=True):
    """Who asks, as the gateway found: nobody else can say it."""

    tenant: str
    key_id: str
    group: str
    data_class: str
    user: str | None = None  # the person, where a front end or a token named one
    admitted: bool = False  # what he asks is part of a request that has its place in his limits already
    classes: frozenset[str] = frozenset()  # privacy classes of what he asks about, beside his key's own
    role: str = "user"
    pii: Policy | None = None  # what his key says of personal data
    line: str = ""  # the id of the key that his was first, before it was rotated
    request_id: str = ""  # by which his answer, the log and the audit know what he asked


class History(msgspec.Struct, frozen=True):
    """How long versions that ended are kept: of each file so many versions at most, the one that holds among them, and
    none for longer than this after it ended. None: without a bound."""

    versions: int | None = None
    for_s: float | None = None


class NewStore(msgspec.Struct, frozen=True):
    """A vector store to be made. `encoder` names the model that makes its vectors; None: the one that there is. Its
    maker owns it; `owners` and `readers` are grants to others (cluster.grants). `data_class` None: its maker's."""

    name: str
    description: str = ""
    metadata: Mapping[str, str] = {}
    expires_after_days: int | None = None  # since it was last used
    encoder: str | None = None
    data_class: str | None = None
    owners: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    licence: str = ""
    history: History = History()
    pii: Policy | None = None  # what becomes of personal data in its documents; None: as cluster.yaml and keys say


NEVER = 0  # days of a store that does not expire, where None leaves them as they are


class StoreChange(msgspec.Struct, frozen=True):
    """None leaves a field as it is. `owners` and `readers` take the place of those that it had."""

    name: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    expires_after_days: int | None = None
    data_class: str | None = None
    owners: tuple[str, ...] | None = None
    readers: tuple[str, ...] | None = None
    licence: str | None = None
    history: History | None = None
    pii: Policy | None = None  # of what is read from here on

    @property
    def of_access(self) -> bool:
        """It says nothing but who may read and change: an admin may say it of a store that he cannot read."""
        return self == StoreChange(owners=self.owners, readers=self.readers)


class Counts(msgspec.Struct, frozen=True):
    """Files of a store, or of one batch of them, by how they stand."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


class Store(msgspec.Struct, frozen=True):
    """One vector store: a space of documents with one encoder. `store_id` begins with `vs_`. `licence`: whose the
    material is and on what terms; who does not own the store finds passages of it, and reads no document whole."""

    store_id: str
    tenant: str
    name: str
    description: str
    metadata: Mapping[str, str]
    encoder: str
    made_s: float
    used_s: float
    counts: Counts
    size_bytes: int
    expires_after_days: int | None = None
    expires_s: float | None = None
    data_class: str = "private"
    owners: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    licence: str = ""
    history: History = History()
    pii: Policy | None = None
    chunks: int = 0  # that can be found

    @property
    def licensed(self) -> bool:
        return bool(self.licence)


class Chunking(msgspec.Struct, frozen=True):
    """How long a chunk may be, and how much of the one before it begins with, in tokens."""

    most_tokens: int
    overlap_tokens: int = 0


class NewFile(msgspec.Struct, frozen=True):
    """A file to be read into a store. `path` is where its bytes lie now; they must stay there until it is read."""

    file_id: str
    name: str  # as people know it; its ending tells what it is
    path: str
    attributes: Mapping[str, Attribute] = {}
    chunking: Chunking | None = None  # None: as potluck cuts by itself


class StoreFile(msgspec.Struct, frozen=True):
    """A file in a store, as it stands. What was read before stays found until its next version is whole."""

    file_id: str
    store_id: str
    name: str
    status: FileStatus
    made_s: float
    attributes: Mapping[str, Attribute]
    size_bytes: int = 0  # that it takes in the store
    version: int = 0  # the newest that can be found; 0: none yet
    chunks: int = 0
    problem_code: str | None = None  # why it failed: "unsupported_file", "invalid_file", "server_error"
    problem: str | None = None
    batch_id: str | None = None
    chunking: Chunking | None = None
    source: str | None = None  # the folder that it was read from


class FileVersion(msgspec.Struct, frozen=True):
    """One that was read, as it was. It holds from `made_s` until `ended_s`: None while it is the newest."""

    number: int
    made_s: float
    ended_s: float | None
    title: str
    chunks: int
    size_bytes: int
    attributes: Mapping[str, Attribute]


class Difference(msgspec.Struct, frozen=True):
    """`text`: a unified diff of the clean text, each part headed by its place; "" where nothing readable changed."""

    name: str
    old: FileVersion
    new: FileVersion
    text: str
    added: int  # lines
    removed: int


class Folder(msgspec.Struct, frozen=True):
    """A folder of this machine whose files are read into a store; watched: again whenever they change."""

    folder_id: str
    store_id: str
    path: str
    watched: bool
    counts: Counts = Counts()
    looked_s: float | None = None
    settled: bool = False  # everything that lies there was seen, and is read or being read


@dataclass(frozen=True, slots=True)
class Locator:
    """Where in a document a chunk stands, for people: kind "page", "slide", "cell", "message" or "line"; "" nowhere."""

    kind: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.value}".strip()


class Ask(msgspec.Struct, frozen=True):
    """A question to some stores. `filter` is OpenAI's, as JSON has it. `at_s` asks what held then; None: what holds."""

    text: str
    store_ids: tuple[str, ...]
    limit: int = 8
    filter: Mapping[str, object] | None = None
    least_score: float = 0.0
    alpha: float | None = None  # the weight of vectors, 0..1; None: potluck's own
    budget_tokens: int = 2_000  # of the context
    at_s: float | None = None
    rerank: bool = True  # by the model that ranks, where there is one
    marked: bool = False  # the question's words are marked in what is found


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """`score`: 0..1, relative to what else was found. `reason`: what speaks for it, in the words that people see."""

    chunk_id: str
    store_id: str
    file_id: str
    name: str
    version: int
    score: float
    text: str
    locator: Locator
    start: int  # characters of the document's clean text
    end: int
    attributes: Mapping[str, Attribute]
    relevant: bool
    reason: str
    licence: str = ""  # of its store
    marks: tuple[tuple[int, int], ...] = ()  # characters of `text` that are words of the question


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """What a model is given to read, by its number: chunks of one file that touch, around those that were found."""

    number: int  # from 1, as the model cites it
    store_id: str
    file_id: str
    name: str
    version: int
    source: str  # for people: the document, and where in it
    chunks: tuple[FoundChunk, ...]
    licence: str = ""  # of its store


@dataclass(frozen=True, slots=True)
class Found:
    """`context` is what the model reads: exactly `passages`, fenced; "" where nothing relevant was found, and `reason`
    says so. `chunks`: everything that was found, the best first, relevant or not."""

    chunks: tuple[FoundChunk, ...]
    passages: tuple[FoundPassage, ...]
    context: str
    reason: str
    classes: frozenset[str] = frozenset()  # privacy classes of the passages: they bind whoever reads them
