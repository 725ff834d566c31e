"""The job that parses one file, on whatever machine it runs: bytes in, bytes out, bounded in time and memory.

pyproject.toml names it for the entry points of `potluck.jobs`, where cluster.jobs finds it.
"""

import atexit
from functools import cache

import msgspec

from inventory.clock import SystemClock
from rag.parsing.bounded import BoundedChildren, ChildDiedError
from rag.parsing.values import MOST_BYTES
from rag.parsing.wire import Bounds, ParseAnswer, ParseJob, answer_problem

__all__ = ["ParseAnswer", "ParseJob", "parse_document", "parsed_by"]


def parse_document(argument: bytes) -> bytes:
    """A ParseJob to a ParseAnswer, both in MessagePack. Blocks; may be called from several threads."""
    return parsed_by(_children(), argument)


def parsed_by(children: BoundedChildren, argument: bytes) -> bytes:
    """By these children: their bounds are theirs."""
    try:
        name = msgspec.msgpack.decode(argument, type=_Named).name
    except msgspec.DecodeError as error:
        return msgspec.msgpack.encode(answer_problem("server_error", f"this is no file to be parsed: {error}"))
    if len(argument) > MOST_BYTES + 65_536:
        most = MOST_BYTES // 1_000_000
        told = f"{name} is too large: {len(argument) / 1e6:.0f} MB; at most {most} MB are read. Split it."
        return msgspec.msgpack.encode(answer_problem("invalid_file", told))
    try:
        return children.ask(argument)
    except ChildDiedError as error:
        told = f"{name} is not read: what parsed it {error.why}. The file may be damaged, or too large: split it."
        return msgspec.msgpack.encode(answer_problem("invalid_file", told))


class _Named(msgspec.Struct):
    name: str


@cache
def _children() -> BoundedChildren:
    """Of this process. They end with it, also where it is killed: their input ends then."""
    children = BoundedChildren(Bounds(), SystemClock())
    atexit.register(children.close)
    return children
