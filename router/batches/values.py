"""What a batch is: its file, its lines, how it stands, and what becomes of one line."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from router.request import Api, Identity

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
FINAL: frozenset[BatchStatus] = frozenset({"failed", "completed", "expired", "cancelled"})
Purpose = Literal["batch", "batch_output", "assistants", "user_data"]
DOCUMENTS: frozenset[Purpose] = frozenset({"assistants", "user_data"})
"""Purposes of files that vector stores read: any bytes, kept until somebody deletes them."""

ENDPOINTS: Mapping[str, Api] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
    "/v1/rerank": "rerank",
}
WINDOW_S = 24 * 3600  # "24h", the only completion window that clients know
MOST_TRIES = 3  # of one line, where engines fail on it
FULL_S = 5.0  # until a batch is looked at again, after it was told that something is full


class Owner(NamedTuple):
    """Whose a file or a batch is: of one key, and of the person that a front end or a token named."""

    tenant: str
    key_id: str
    user: str  # "" where nobody was named


def owner_of(identity: Identity) -> Owner:
    return Owner(identity.tenant, identity.key_id, identity.user or "")


class FileRow(msgspec.Struct, frozen=True):
    """Times are wall clock, in seconds."""

    file_id: str
    owner: Owner
    name: str
    purpose: Purpose
    size_bytes: int
    created_s: int
    expires_s: int | None
    classes: tuple[str, ...] = ()  # privacy classes of what is in it, sorted: its uploader's key's, and those he named


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with an input file."""

    code: str
    message: str
    line: int | None = None  # from 1
    param: str | None = None


class BatchRow(msgspec.Struct, frozen=True):
    """`times`: when it became what it is or was, by the status, and `expires`; wall clock, in seconds."""

    batch_id: str
    owner: Owner
    identity: Identity  # of whoever made it, then
    endpoint: str
    input_file: str
    metadata: dict[str, str] | None
    status: BatchStatus
    times: dict[str, int]
    output_file: str | None = None
    error_file: str | None = None
    errors: tuple[Problem, ...] = ()
    classes: tuple[str, ...] = ()  # privacy classes of its lines and answers, sorted: its file's among them

    @property
    def expires_s(self) -> int:
        return self.times["expires"]

    def turned(self, status: BatchStatus, wall_s: float) -> "BatchRow":
        """The same, with another status from now on."""
        return replace(self, status=status, times=self.times | {status: int(wall_s)})


class LineSpan(NamedTuple):
    """One request of an input file: where its body lies in it, and what it is asked of."""

    at: int  # from 0
    custom_id: str
    model: str
    offset: int
    size: int


class Counts(NamedTuple):
    total: int
    completed: int
    failed: int


class LineJob(msgspec.Struct, frozen=True):
    """What a machine is to answer. The argument of a job of the kind `answer_line`."""

    batch_id: str
    custom_id: str
    api: Api
    identity: Identity
    body: bytes
    classes: tuple[str, ...] = ()  # beside its identity's


class LineAnswer(msgspec.Struct, frozen=True):
    """What came of it."""

    status: int
    request_id: str
    body: bytes
    retry_after_s: float | None = None


_encode = msgspec.msgpack.Encoder().encode  # bodies are bytes, which JSON would hold as base64
decode_job = msgspec.msgpack.Decoder(LineJob).decode
decode_answer = msgspec.msgpack.Decoder(LineAnswer).decode


def encode_job(job: LineJob) -> bytes:
    return _encode(job)


def encode_answer(answer: LineAnswer) -> bytes:
    return _encode(answer)


Fate = Literal["done", "failed", "again", "later"]


def fate_of(answer: LineAnswer | None, tries: int) -> Fate:
    """Of a line after `tries` answers of engines that failed on it, this one among them. None: it made way for
    somebody. again: as if it had not been asked. later: nothing of this batch for a while."""
    if answer is None:
        return "again"
    if answer.status == 200:
        return "done"
    if answer.status in (429, 503):
        return "later"
    if answer.status >= 500 and tries < MOST_TRIES:
        return "again"
    return "failed"
