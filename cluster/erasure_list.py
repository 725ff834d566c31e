"""Erasures of this machine as files: which were begun and which are done. No personal data: hashes, and apart from them
the keys that they were made with, so that each can be destroyed when no backup is left that it would be needed for.
"""

import re
import secrets

import msgspec

from cluster.erasure import KEY_BYTES, Gone, Holding, Person, Sought, State, sought
from inventory.paths import StatePaths
from inventory.secret_files import write_secret

_IDS = re.compile(r"er_[0-9a-f]{24}")


class Entry(msgspec.Struct, frozen=True):
    """One erasure. `marks` and `kept_out` are hexadecimal digits."""

    erasure_id: str
    begun_s: float
    state: State
    marks: tuple[str, ...]
    lengths: tuple[int, ...]
    naming: bool
    done_s: float | None = None
    holdings: tuple[Holding, ...] = ()
    kept_out: tuple[str, ...] = ()
    trouble: str = ""  # why it is not done yet


_decode = msgspec.json.Decoder(Entry).decode


class ErasureList:
    """One process writes. Raises OSError."""

    def __init__(self, paths: StatePaths) -> None:
        self._folder, self._keys = paths.root / "erasures", paths.secrets / "erasures"

    def begin(self, person: Person, key_ids: tuple[str, ...], now_s: float) -> Sought:
        """It is written down, and will be done whatever happens. Raises NoPersonError."""
        for folder in (self._folder, self._keys):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, erasure_id = secrets.token_bytes(KEY_BYTES), f"er_{secrets.token_hex(12)}"
        wanted = sought(erasure_id, key, person, key_ids)
        marks = tuple(sorted(mark.hex() for mark in wanted.marks))
        write_secret(self._keys / erasure_id, key.hex())
        self.save(Entry(erasure_id, now_s, "begun", marks, wanted.lengths, wanted.naming))
        return wanted

    def save(self, entry: Entry) -> None:
        write_secret(self._folder / f"{entry.erasure_id}.json", msgspec.json.encode(entry).decode())

    def entries(self) -> tuple[Entry, ...]:
        """The oldest first; such as cannot be read any more because their key was destroyed, too."""
        found = [_decode(path.read_bytes()) for path in self._folder.glob("er_*.json")] if self._folder.exists() else []
        return tuple(sorted(found, key=lambda one: (one.begun_s, one.erasure_id)))

    def sought(self, entry: Entry) -> Sought | None:
        """None where its key was destroyed."""
        try:
            key = bytes.fromhex((self._keys / entry.erasure_id).read_text())
        except FileNotFoundError:
            return None
        marks = frozenset(bytes.fromhex(mark) for mark in entry.marks)
        return Sought(entry.erasure_id, key, marks, entry.lengths, entry.naming)

    def is_kept_out(self, name: str) -> bool:
        """Something that an erasure said is not to be read again."""
        telling = [(entry, self.sought(entry)) for entry in self.entries() if entry.kept_out]
        return any(
            wanted is not None and wanted.mark("kept_out", name).hex() in entry.kept_out for entry, wanted in telling
        )

    def bundle(self) -> bytes:
        """Entries with their keys, to be kept apart from backups, and given to `take` after one was brought back."""
        kept = [(entry, wanted.key.hex()) for entry in self.entries() if (wanted := self.sought(entry)) is not None]
        return msgspec.json.format(msgspec.json.encode(kept), indent=1)

    def take(self, content: bytes) -> int:
        """Entries that are not known here, as begun: they will be done. How many. Raises msgspec.MsgspecError,
        ValueError."""
        for folder in (self._folder, self._keys):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {entry.erasure_id for entry in self.entries()}
        taken = 0
        for entry, key in msgspec.json.decode(content, type=list[tuple[Entry, str]]):
            if not _IDS.fullmatch(entry.erasure_id) or len(bytes.fromhex(key)) != KEY_BYTES:
                raise ValueError(f"{entry.erasure_id!r} is no erasure")
            if entry.erasure_id not in known:
                write_secret(self._keys / entry.erasure_id, key)
                self.save(msgspec.structs.replace(entry, state="begun", done_s=None))
                taken += 1
        return taken


def done(entry: Entry, each: tuple[Gone, ...], now_s: float) -> Entry:
    """Counts of a try that a crash ended are not known: those of the last one stand."""
    holdings = tuple(one for gone in each for one in gone.holdings)
    kept_out = tuple(dict.fromkeys((*entry.kept_out, *(mark for gone in each for mark in gone.kept_out))))
    return msgspec.structs.replace(
        entry, state="done", done_s=now_s, holdings=holdings, kept_out=kept_out, trouble=""
    )  # fmt: skip
