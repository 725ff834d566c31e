"""An engine's output file: appended to by the engine, kept small by us. A file, because a pipe dies with its reader."""

import os
import re
from pathlib import Path

LIMIT_BYTES = 16 << 20
KEPT_BYTES = 1 << 20
END_BYTES = 64 << 10
HEAD_BYTES = 256 << 10
_RAISED = re.compile(r"^(?:\([^)]*\) )?(?:\w+\.)*(?P<says>\w*(?:Error|Exception): .+)")
_POINTS_ELSEWHERE = re.compile(r"see (?:root cause|stack trace|error|the log)", re.IGNORECASE)
_COUNTS_ONLY = re.compile(r"ValidationError: \d+ validation errors? for ")


def open_log(path: Path) -> int:
    """A descriptor for the engine's output. O_APPEND: after a trim it goes on at the new end."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def trim(path: Path, limit_bytes: int = LIMIT_BYTES, kept_bytes: int = KEPT_BYTES) -> bool:
    """Cut a log that has outgrown its limit down to its end. Lines written in that instant are lost."""
    try:
        if path.stat().st_size <= limit_bytes:
            return False
        with path.open("r+b") as file:
            file.seek(-kept_bytes, os.SEEK_END)
            end = file.read()
            file.truncate(0)
    except FileNotFoundError:
        return False
    descriptor = open_log(path)
    try:
        os.write(descriptor, end)
    finally:
        os.close(descriptor)
    return True


def head(path: Path, offset: int, within_bytes: int = HEAD_BYTES) -> str:
    """What was written first from `offset` on; empty where the log was trimmed below it since."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(within_bytes).decode(errors="replace")
    except OSError:
        return ""


def size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, lines: int = 5, within_bytes: int = 8192) -> str:
    """The last lines, for a message to people; empty when there is no output."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - within_bytes))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def why_it_ended(path: Path, since: int = 0) -> str:
    """The line that a person needs, of what was written from `since` on: the last exception that says something of its
    own, else the last line.

    A program written in Python ends with an exception, but behind it may stand where to read more about it, or the
    exception of a parent process that only says that its child failed.
    """
    written = size_bytes(path) - since  # below 0 where the log was trimmed
    lines = tail(path, lines=400, within_bytes=min(written, END_BYTES) if written > 0 else END_BYTES).splitlines()
    raised = [(number, said["says"]) for number, line in enumerate(lines) if (said := _RAISED.match(line))]
    for number, says in reversed(raised):
        if _COUNTS_ONLY.match(says) and number + 1 < len(lines):
            return lines[number + 1].strip()
        if not _POINTS_ELSEWHERE.search(says):
            return says
    return lines[-1] if lines else ""
