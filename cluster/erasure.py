"""Whom or what an erasure means, as keyed hashes: who has the list of erasures, and not its keys, learns nothing. Pure.

The same hashes find what goes the first time, after a crash, and in a state that was brought back from a backup.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Literal, Protocol

import msgspec

KEY_BYTES, MARK_BYTES = 32, 16
LEAST_CHARACTERS = 4  # of an identifier: a shorter one is in half of all texts
ISSUED = ("jwt:", "oidc:")  # begin the key id of somebody whom an issuer names
State = Literal["begun", "done"]

_WORDS = re.compile(r"[^\W_]+")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_BREAKS = re.compile(r"\\[nrtbf]")


class Person(msgspec.Struct, frozen=True):
    """`who`: a user as a front end or an issuer names him, or a key's id or name. `identifiers`: how documents speak of
    him. `documents`: ids of files. `naming`: documents of others go as well, where they have an identifier."""

    who: str = ""
    identifiers: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    naming: bool = False


class Sought(msgspec.Struct, frozen=True):
    """What an erasure looks for. `lengths`: of its identifiers, in letters and digits."""

    erasure_id: str
    key: bytes
    marks: frozenset[bytes]
    lengths: tuple[int, ...]
    naming: bool

    def mark(self, kind: str, text: str) -> bytes:
        return blake2b(f"{kind}\0{text}".encode(), key=self.key, digest_size=MARK_BYTES).digest()

    def is_person(self, key_id: str | None, user: str | None) -> bool:
        return (bool(key_id) and self.mark("key", key_id or "") in self.marks) or (
            bool(user) and self.mark("user", user or "") in self.marks
        )

    def is_document(self, file_id: str) -> bool:
        return self.mark("file", file_id) in self.marks

    def names(self, text: str) -> bool:
        """An identifier is in the text, however it is written: case, accents, spaces and dots do not matter. It begins
        and ends where words do."""
        return self._has("said", text, self.lengths)

    def marks_line(self, text: str) -> bool:
        """Of a log: it also has one of his ids."""
        if self.names(text):
            return True
        return any(self.is_person(word, word) or self.is_document(word) for word in _ids(text))

    def _has(self, kind: str, text: str, lengths: Sequence[int]) -> bool:
        if not lengths:
            return False
        words = _WORDS.findall(folded(text))
        longest = max(lengths)
        for at, _ in enumerate(words):
            joined = ""
            for word in words[at:]:
                joined += word
                if len(joined) > longest:
                    break
                if len(joined) in lengths and self.mark(kind, joined) in self.marks:
                    return True
        return False


class NoPersonError(ValueError):
    """The person cannot be looked for as he is described. The door says why."""


def sought(erasure_id: str, key: bytes, person: Person, key_ids: Iterable[str] = ()) -> Sought:
    """`key_ids`: of keys that go by his name. Raises NoPersonError."""
    blank = Sought(erasure_id, key, frozenset(), (), person.naming)
    said = ["".join(_WORDS.findall(folded(one))) for one in person.identifiers]
    short = [one for one, squashed in zip(person.identifiers, said, strict=True) if len(squashed) < LEAST_CHARACTERS]
    if short:
        raise NoPersonError(
            f"{short[0]!r} is too short to tell a person by: at least {LEAST_CHARACTERS} letters and digits"
        )
    if not (person.who or said or person.documents):
        raise NoPersonError("say whom or what: a person, an identifier or a document")
    if person.naming and not said:
        raise NoPersonError("documents that name a person are found by identifiers: say at least one")
    keys = {person.who, *key_ids, *(f"{prefix}{person.who}" for prefix in ISSUED)} if person.who else set(key_ids)
    marks = {blank.mark("key", one) for one in keys} | {blank.mark("file", one) for one in person.documents}
    marks |= {blank.mark("said", one) for one in said}
    if person.who:
        marks.add(blank.mark("user", person.who))
    return Sought(erasure_id, key, frozenset(marks), tuple(sorted({len(one) for one in said})), person.naming)


def folded(text: str) -> str:
    """Without case and accents; escapes of JSON are what they stand for."""
    if "\\" in text:
        text = _BREAKS.sub(" ", _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))
    spread = unicodedata.normalize("NFKD", text)
    return "".join(one for one in spread if not unicodedata.combining(one)).casefold()


def _ids(text: str) -> Iterator[str]:
    for word in re.findall(r"[^\s\"',;=()\[\]{}]+", text):
        yield word
        yield word.rpartition("/")[2]


class Holding(msgspec.Struct, frozen=True):
    """So many things of one kind in a place."""

    place: str
    what: str
    count: int


class Piece(msgspec.Struct, frozen=True):
    """One file of an export. `path` begins with its place."""

    path: str
    content: bytes


class Gone(msgspec.Struct, frozen=True):
    """`outside`: originals that lie where potluck removes nothing. `kept_out`: marks of what is not read again."""

    holdings: tuple[Holding, ...] = ()
    outside: tuple[str, ...] = ()
    kept_out: tuple[str, ...] = ()


class Erasable(Protocol):
    """A part that keeps something of people. Each call may be made again after a crash, and does what is left to do.
    Whatever it raises leaves the erasure unfinished, to be tried again."""

    @property
    def place(self) -> str: ...

    async def holds(self, sought: Sought) -> tuple[Holding, ...]: ...

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        """Everything that `holds` counts, in readable form."""
        ...

    async def erase(self, sought: Sought) -> Gone:
        """When it returns, no byte of it is in any file of this part."""
        ...


def sought_document(sought: Sought) -> dict[str, object]:
    """As the head is told it."""
    return {
        "erasure_id": sought.erasure_id,
        "mark": sought.mark("all", ",".join(sorted(mark.hex() for mark in sought.marks))).hex(),
        "key": sought.key.hex(),
        "marks": sorted(mark.hex() for mark in sought.marks),
        "lengths": list(sought.lengths),
        "naming": sought.naming,
    }
