"""What goes into a child process that parses, and what comes out of it, and how much of each. Pure.

A frame is its length in 8 bytes, then MessagePack.
"""

from collections.abc import Mapping

import msgspec

from cluster.knowledge import Attribute, Chunking
from rag.values import NewChunk


class ParseJob(msgspec.Struct, frozen=True):
    """A file to be parsed and cut. `chunking` None: as potluck cuts by itself."""

    name: str  # its ending helps to tell what it is
    content: bytes
    chunking: Chunking | None = None


class ParseAnswer(msgspec.Struct, frozen=True):
    """A document, cut; or, where `problem_code` is told, why there is none: "unsupported_file", "invalid_file", or
    "server_error" where parsing itself failed."""

    title: str = ""
    media_type: str = ""
    language: str = ""
    attributes: Mapping[str, Attribute] = {}
    text_length: int = 0  # characters of the clean text, which chunks count in
    chunks: tuple[NewChunk, ...] = ()
    problem_code: str | None = None
    problem: str | None = None


LENGTH_BYTES = 8
MOST_ANSWER_BYTES = 400_000_000  # 32 million characters of up to 4 bytes, with overlaps and headings


class Bounds(msgspec.Struct, frozen=True):
    """Of one file. Its time counts on the wall, and of the processor."""

    memory_bytes: int = 2**30  # of addresses; not on macOS, which cannot bound them
    seconds: float = 60.0
    idle_s: float = 60.0  # a child that waits so long for its next file leaves


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def framed_length(head: bytes) -> int:
    return int.from_bytes(head, "big")


def answer_problem(code: str, message: str) -> ParseAnswer:
    return ParseAnswer(problem_code=code, problem=message)
