"""Logs where they lie on this machine: read, merged by time, and followed across rotation and trimming."""

import heapq
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cli.log_lines import ENGINE, Entry, Wanted, entry_of, model_of
from inventory.paths import StatePaths

SERVICES = ("up", "head", "gateway", "node", "ray-bridge")
AGAIN_S = 0.3
MARK_BYTES = 4096  # of what was read last: where it is found again, reading goes on behind it


class Follower:
    """Reads a log line by line as it grows. A service's log is renamed when it has grown large, and its successor has
    another inode; an engine's is cut down to its end in place, and goes on somewhere in what was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._offset = 0
        self._mark = self._rest = b""

    def lines(self) -> list[str]:
        """Those that were written since the last call, whole ones only."""
        before = self._path.with_name(f"{self._path.name}.1")
        found = b""
        if self._inode is not None and self._inode != _inode(self._path) and self._inode == _inode(before):
            found, self._rest = self._read(before), b""  # what came between the last look and the renaming
            found = found if found.endswith(b"\n") or not found else found + b"\n"
            self._begin(None)
        found += self._read(self._path)
        *whole, self._rest = (self._rest + found).split(b"\n")
        return [line.decode(errors="replace") for line in whole if line.strip()]

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                facts = os.fstat(file.fileno())
                if facts.st_ino != self._inode:
                    self._begin(facts.st_ino)
                if facts.st_size < self._offset:
                    self._offset = self._found_again(file.read())
                file.seek(self._offset)
                found = file.read()
        except FileNotFoundError:
            return b""
        self._offset += len(found)
        self._mark = (self._mark + found)[-MARK_BYTES:]
        return found

    def _begin(self, inode: int | None) -> None:
        self._inode, self._offset, self._mark, self._rest = inode, 0, b"", b""

    def _found_again(self, content: bytes) -> int:
        """Where to go on in a log that was cut: behind the last line that was read, or at its beginning."""
        line = self._mark.rstrip(b"\n").rpartition(b"\n")[2]
        at = content.rfind(line) if line else -1
        self._rest = b""
        return at + len(line) + 1 if at >= 0 else 0


class Logs:
    """Of this machine's services, and of the engines that are asked for."""

    def __init__(self, paths: StatePaths, wanted: Wanted) -> None:
        self._paths, self._wanted = paths, wanted
        self._followers: dict[str, Follower] = {}

    def there(self) -> list[Entry]:
        """All that there are, by time; lines that do not say when they were written stand with those before them."""
        found = [self._of_source(source) for source in sources(self._paths, self._wanted)]
        return [entry for entry in heapq.merge(*found, key=lambda one: one.at_s) if self._wanted.has(entry)]

    def coming(self) -> Iterator[Entry]:
        """Those behind the last that was read, until interrupted. Logs that are made meanwhile are followed too."""
        while True:
            for source in sources(self._paths, self._wanted):
                self._followers.setdefault(source, Follower(self._paths.logs / f"{source}.log"))
            now_s = time.time()
            found = [entry_of(line, name, now_s) for name, log in self._followers.items() for line in log.lines()]
            yield from sorted(filter(self._wanted.has, found), key=lambda entry: entry.at_s)
            time.sleep(AGAIN_S)

    def _of_source(self, source: str) -> list[Entry]:
        path = self._paths.logs / f"{source}.log"
        older, follower = path.with_name(f"{path.name}.1"), self._followers.setdefault(source, Follower(path))
        lines = older.read_text(errors="replace").splitlines() if older.exists() else []
        written_s = path.stat().st_mtime if path.exists() else 0.0
        return read_lines([line for line in (*lines, *follower.lines()) if line.strip()], source, written_s)


def sources(paths: StatePaths, wanted: Wanted) -> Sequence[str]:
    """Services that have a log here, and the engines of the model that is asked for."""
    there = {path.stem for path in paths.logs.glob("*.log")}
    engines = sorted(name for name in there if wanted.model is not None and model_of(name) == wanted.model)
    return [*(name for name in SERVICES if name in there), *engines]


def read_lines(lines: Iterable[str], source: str, otherwise_s: float) -> list[Entry]:
    """Never earlier than the one before, which a line without a time is not."""
    found: list[Entry] = []
    at_s = 0.0 if not source.startswith(ENGINE) else otherwise_s
    for line in lines:
        entry = entry_of(line, source, at_s)
        at_s = entry.at_s
        found.append(entry)
    return found


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
