"""The arithmetic of the audit: each record's hash holds the one before it, a Merkle tree spans each segment, and signed
checkpoints say how far the chain had come.

Hashes are SHA-256 with a word in front that says of what; the tree is that of RFC 6962; signatures are Ed25519.
"""

import hashlib
from dataclasses import dataclass, replace

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

STATEMENT_VERSION = 1
_LOG, _RECORD, _CHECKPOINT = b"potluck audit log 1\n", b"potluck audit record 1\n", b"potluck audit checkpoint 1\n"
_LEAF, _NODE = b"\x00", b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()


class BadCheckpointError(Exception):
    """A checkpoint that this cluster's key did not sign, or that says nothing. Verification names it."""


@dataclass(frozen=True, slots=True)
class Link:
    """A record as it is stored. `digest` is of `previous` and `body`."""

    sequence: int
    previous: bytes
    body: bytes
    digest: bytes

    @property
    def fits(self) -> bool:
        return self.digest == record_digest(self.previous, self.body)


@dataclass(frozen=True, slots=True)
class Tree:
    """A Merkle tree that grows: the roots of its perfect parts, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def with_leaf(self, content: bytes) -> "Tree":
        node, peaks, size = _hash(_LEAF + content), list(self.peaks), self.size
        while size & 1:
            node = _hash(_NODE + peaks.pop() + node)
            size >>= 1
        return Tree(self.size + 1, (*peaks, node))

    @property
    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = _hash(_NODE + peak + root)
        return root


@dataclass(frozen=True, slots=True)
class Statement:
    """What a checkpoint says: record `sequence` has this digest, and its segment so far this root.

    With `closes` the segment ends there, which is what lets it be deleted as a whole one day.
    """

    version: int
    log: str
    segment: int
    first: int  # sequence of the segment's first record
    opened_ms: int
    sequence: int
    at_ms: int
    digest: str
    root: str
    closes: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A statement's exact text with its signature. Believe nothing in it before `read` has."""

    text: str
    signature: str


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a log has come. Values in, values out: only a commit makes one of these true."""

    log: str
    segment: int
    first: int
    opened_ms: int
    sequence: int
    digest: bytes
    tree: Tree

    @classmethod
    def begin(cls, log: str, at_ms: int) -> "Chain":
        return cls(log, segment=1, first=1, opened_ms=at_ms, sequence=0, digest=genesis(log), tree=Tree())

    @classmethod
    def after(cls, statement: Statement) -> "Chain":
        """Where a log stands whose last segment this statement closed."""
        return cls(
            statement.log,
            statement.segment + 1,
            statement.sequence + 1,
            statement.at_ms,
            statement.sequence,
            bytes.fromhex(statement.digest),
            Tree(),
        )

    def linked(self, body: bytes) -> tuple[Link, "Chain"]:
        digest = record_digest(self.digest, body)
        link = Link(self.sequence + 1, self.digest, body, digest)
        return link, self.with_digest(digest)

    def with_digest(self, digest: bytes) -> "Chain":
        return replace(self, sequence=self.sequence + 1, digest=digest, tree=self.tree.with_leaf(digest))

    def next_segment(self, at_ms: int) -> "Chain":
        return replace(self, segment=self.segment + 1, first=self.sequence + 1, opened_ms=at_ms, tree=Tree())

    def statement(self, at_ms: int, *, closes: bool = False) -> Statement:
        return Statement(
            STATEMENT_VERSION,
            self.log,
            self.segment,
            self.first,
            self.opened_ms,
            self.sequence,
            at_ms,
            self.digest.hex(),
            self.tree.root.hex(),
            closes,
        )


def genesis(log: str) -> bytes:
    """What the first record of a log follows."""
    return _hash(_LOG + log.encode())


def record_digest(previous: bytes, body: bytes) -> bytes:
    return _hash(_RECORD + previous + body)


def sign(statement: Statement, key: Ed25519PrivateKey) -> Checkpoint:
    text = msgspec.json.encode(statement, order="sorted")
    return Checkpoint(text.decode(), key.sign(_CHECKPOINT + text).hex())


def read(checkpoint: Checkpoint, key: Ed25519PublicKey) -> Statement:
    """What it says, once its signature holds. Raises BadCheckpointError."""
    text = checkpoint.text.encode("utf-8", "replace")
    try:
        key.verify(bytes.fromhex(checkpoint.signature), _CHECKPOINT + text)
        return msgspec.json.decode(text, type=Statement)
    except (InvalidSignature, ValueError) as error:
        reason = str(error) or "its signature is not this cluster's"
        raise BadCheckpointError(reason) from error


def public_text(key: Ed25519PublicKey) -> str:
    """The key as 64 hexadecimal digits."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()


def public_key(text: str) -> Ed25519PublicKey:
    """Raises ValueError."""
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.strip()))


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
