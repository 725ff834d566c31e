"""What tables in a folder tell of the files there, read again only when one of them changes."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import structlog

from cluster.knowledge import Attribute
from rag.library.folders import Look, Seen
from rag.library.rows import FolderRow
from rag.parsing.sidecar import MOST_BYTES, SidecarError, metadata_of

Told: TypeAlias = Mapping[str, Mapping[str, Attribute]]
"""Attributes by path below the folder."""

log = structlog.get_logger("potluck.rag")


class Sidecars:
    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def told(self, folder: FolderRow, look: Look) -> Told | None:
        """A table that cannot be read is told in the log, and changes nothing until it can: None where it never could.
        Blocks."""
        known = self._known.setdefault(folder.folder_id, _Known())
        if known.told is None or known.tables != look.sidecars:
            known.told = _read(folder, look.sidecars, known.told)
            known.tables = look.sidecars
        return known.told

    def keep_only(self, folder_ids: Set[str]) -> None:
        for folder_id in self._known.keys() - folder_ids:
            del self._known[folder_id]


def below(folder: FolderRow, path: str) -> str:
    return Path(path).relative_to(folder.path).as_posix()


def _read(folder: FolderRow, tables: tuple[Seen, ...], before: Told | None) -> Told | None:
    try:
        return metadata_of({one.relative: _content(one) for one in tables})
    except SidecarError as error:
        log.warning("folder_not_read", path=str(Path(folder.path) / error.path), error=str(error))
    except OSError as error:
        log.warning("folder_not_read", path=folder.path, error=str(error))
    return before


def _content(table: Seen) -> bytes:
    with Path(table.path).open("rb") as file:
        return file.read(MOST_BYTES + 1)


@dataclass(slots=True)
class _Known:
    tables: tuple[Seen, ...] = ()
    told: Told | None = None
