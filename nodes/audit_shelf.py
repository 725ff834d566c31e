"""Checkpoints of the head's audit on another machine: what was put here stays as it is, whoever owns the head later."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from inventory.secret_files import write_secret

MOST_RECENT = 64
LONGEST_DOCUMENT = 4096
MONTH_MS = 30 * 24 * 3600 * 1000


class BadCheckpointError(Exception):
    """Not a checkpoint, or another one of a record that is vouched for already. The node API answers 422."""


@dataclass(frozen=True, slots=True)
class _Signed:
    text: str
    signature: str


@dataclass(frozen=True, slots=True)
class _Said:
    """What a shelf needs to know of a checkpoint. It cannot check the signature, and need not: the head does."""

    log: str
    sequence: int
    at_ms: int
    digest: str


class CheckpointShelf:
    """One file a log: the last MOST_RECENT, and the first of each month for as long as the machine lives.

    So whoever takes over the head cannot push out what was put here before by putting many more.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, document: str) -> None:
        """Raises BadCheckpointError, OSError."""
        said = _said(document)
        path = self._directory / f"{said.log}.json"
        known = _read(path)
        for other in map(_said, known):
            if other.sequence == said.sequence:
                if other.digest != said.digest:
                    raise BadCheckpointError(f"another checkpoint of record {said.sequence} is kept here")
                return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, msgspec.json.encode(_thinned([*known, document])).decode())

    def documents(self) -> tuple[str, ...]:
        """Of every log, oldest first."""
        paths = sorted(self._directory.glob("*.json")) if self._directory.exists() else []
        return tuple(document for path in paths for document in _read(path))


def _thinned(documents: list[str]) -> list[str]:
    """In the order in which they came."""
    older, recent = documents[:-MOST_RECENT], documents[-MOST_RECENT:]
    months: dict[int, str] = {}
    for document in older:
        months.setdefault(_said(document).at_ms // MONTH_MS, document)
    return [*months.values(), *recent]


def _said(document: str) -> _Said:
    try:
        text = msgspec.json.decode(document[:LONGEST_DOCUMENT], type=_Signed).text
        said = msgspec.json.decode(text, type=_Said)
    except msgspec.MsgspecError as error:
        raise BadCheckpointError(f"not a checkpoint: {error}") from error
    if not (said.log.isascii() and said.log.isalnum() and len(said.log) <= 64):
        raise BadCheckpointError("the name of its log is none")
    return said


def _read(path: Path) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[str, ...])
    except (FileNotFoundError, msgspec.MsgspecError):
        return ()
