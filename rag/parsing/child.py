"""The child process that parses, one file after the other: bounded by itself, without network, files or children.

    python -m rag.parsing.child MEMORY_BYTES SECONDS IDLE_SECONDS

Frames come in on stdin, answers go out on stdout. It ends when stdin does, so that it never
outlives who started it, and when no file came for long.
"""

import math
import os
import resource
import select
import sys
from typing import BinaryIO

import msgspec

from rag.chunking import cut
from rag.parsing.documents import parse
from rag.parsing.language import language_model
from rag.parsing.values import CannotParseError
from rag.parsing.wire import LENGTH_BYTES, ParseAnswer, ParseJob, answer_problem, frame, framed_length

_REFUSED = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system", "os.exec",
    "os.posix_spawn", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.remove", "os.rename", "os.rmdir",
    "shutil.rmtree",
)  # fmt: skip


_NICE = 5  # engines and the gateway answer people; documents can wait


class _RefusedError(RuntimeError):
    """What no parser of documents needs. Ends the parsing of the file."""


def main() -> None:
    memory_bytes, seconds, idle_s = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # what a library prints is no answer
    os.nice(_NICE)
    _bound(memory_bytes)
    language_model()  # writes a file to be unpacked, which is refused from here on
    sys.addaudithook(refuse)
    patience: float | None = None  # for the first file it was started
    while select.select([incoming], [], [], patience)[0] and len(head := incoming.read(LENGTH_BYTES)) == LENGTH_BYTES:
        _bound_time(seconds)
        outgoing.write(frame(_answer(incoming, framed_length(head), memory_bytes)))
        outgoing.flush()
        patience = idle_s


def _bound(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin":
        most = _within(memory_bytes, resource.getrlimit(resource.RLIMIT_AS)[1])
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _bound_time(seconds: float) -> None:
    """Of the processor, from here on: each file has its own."""
    used = sum(os.times()[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_within(math.ceil(used + seconds) + 1, hard), hard))


def _within(wanted: int, hard: int) -> int:
    """What the system lets nobody raise is a bound of ours as well."""
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Whatever Python is about to do that reading a document does not need."""
    writes = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    if event in _REFUSED or writes:
        raise _RefusedError(f"a parser tried {event}, which none needs")


def _answer(incoming: BinaryIO, length: int, memory_bytes: int) -> bytes:
    try:
        return msgspec.msgpack.encode(_parsed(msgspec.msgpack.decode(incoming.read(length), type=ParseJob)))
    except MemoryError:
        return msgspec.msgpack.encode(too_much_memory(memory_bytes))


def too_much_memory(memory_bytes: int) -> ParseAnswer:
    return answer_problem(
        "invalid_file", f"parsing it took more than {memory_bytes / 2**30:.3g} GiB of memory. Split the file."
    )


def _parsed(job: ParseJob) -> ParseAnswer:
    try:
        document = parse(job.name, job.content)
        made = cut(document.blocks, job.chunking)
    except CannotParseError as error:
        return answer_problem(error.code, error.message)
    except RecursionError:
        return answer_problem("invalid_file", f"{job.name} is nested too deeply to be read.")
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # a library stumbled over a file that it should have refused
        return answer_problem(
            "invalid_file", f"{job.name} cannot be read: {type(error).__name__}: {error}. Save it again, or as PDF."
        )
    return ParseAnswer(
        title=document.title,
        media_type=document.media_type,
        language=document.language,
        attributes=document.attributes,
        text_length=len(made.text),
        chunks=made.chunks,
    )


if __name__ == "__main__":
    main()
