"""What lies in a folder, and what of it must be read, again, or no more.

Hidden files, those that a program writes on its way to another, and links are passed over: what a link leads to is
either in the folder anyway, or out of it.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag.library.rows import FileRow
from rag.parsing.sidecar import is_sidecar

QUIET_S = 2.0  # a file that was changed just now may be only half there
_PASSING = (".tmp", ".part", ".partial", ".crdownload", ".swp")


@dataclass(frozen=True, slots=True)
class Seen:
    """`stamp` changes whenever the file does. `relative` has `/` between its parts."""

    path: str
    relative: str
    stamp: str
    changed_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """`sidecars` tell of files and are not read themselves. `unseen`: paths of folders that could not be read. What was
    below them is not gone for that."""

    seen: Mapping[str, Seen]  # by path
    sidecars: tuple[Seen, ...]
    unseen: tuple[str, ...]

    def hides(self, path: str) -> bool:
        return any(path == one or path.startswith(f"{one}{os.sep}") for one in self.unseen)


@dataclass(frozen=True, slots=True)
class Changes:
    """`all_quiet`: nothing was left out because somebody may still be writing it."""

    fresh: tuple[Seen, ...]
    gone: tuple[FileRow, ...]
    all_quiet: bool


def look_into(root: Path, protected: Path) -> Look:
    """Blocks. Never goes into `protected`."""
    seen: dict[str, Seen] = {}
    sidecars: list[Seen] = []
    unseen: list[str] = []

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or str(error.filename) == str(root):
            unseen.append(str(error.filename))

    for told, folders, files in os.walk(root, onerror=note):
        folder = Path(told)
        folders[:] = sorted(name for name in folders if _is_meant(name) and folder / name != protected)
        for name in sorted(filter(_is_meant, files)):
            one = _seen(root, folder / name)
            if one is not None and is_sidecar(one.relative):
                sidecars.append(one)
            elif one is not None:
                seen[one.path] = one
    return Look(seen, tuple(sidecars), tuple(unseen))


def changes(look: Look, before: Mapping[str, str], known: Iterable[FileRow], now_s: float) -> Changes:
    """`before`: stamps of the look before, by path. Pure."""
    rows = {row.path: row for row in known}
    other = [one for path, one in look.seen.items() if path not in rows or rows[path].stamp != one.stamp]
    fresh = tuple(one for one in other if before.get(one.path) == one.stamp or now_s - one.changed_s >= QUIET_S)
    gone = tuple(row for path, row in rows.items() if path not in look.seen and not look.hides(path))
    return Changes(fresh, gone, len(fresh) == len(other))


def _is_meant(name: str) -> bool:
    return not (name.startswith((".", "~$")) or name.endswith("~") or name.lower().endswith(_PASSING))


def _seen(root: Path, path: Path) -> Seen | None:
    try:
        facts = path.lstat()
        str(path).encode()
    except (OSError, UnicodeEncodeError):  # it went since, or has no name that can be told
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    stamp = f"{facts.st_mtime_ns}:{facts.st_size}:{facts.st_ino}"
    relative = path.relative_to(root).as_posix()
    return Seen(str(path), relative, stamp, max(facts.st_mtime, facts.st_ctime))
