"""Heads of HTTP messages that were read before. Those of one connection are mostly the same bytes, but for a length; so
what a parser once made of them is looked up, and the parser is not asked again.

Only the digits of `content-length` may differ, so another parser would find just what the first one did.
"""

from typing import Generic, NamedTuple, TypeVar

MOST_HEADS = 256
LONGEST_BYTES = 4096  # of a head that is worth it
LONGEST_LENGTH = 9  # digits
_LENGTH = b"ength: "  # however it begins: clients write it in capitals or not
_LINE = b"\r\ncontent-length: "

Made = TypeVar("Made")


class Cut(NamedTuple):
    """A message as far as its head tells: what stays the same, the length of the body, and where that begins."""

    same: bytes
    length: int
    body_at: int


def cut(data: bytes) -> Cut | None:
    """None where no whole head with a length stands at the beginning."""
    end = data.find(b"\r\n\r\n", 0, LONGEST_BYTES)
    at = data.find(_LENGTH, 0, end) + len(_LENGTH) if end > 0 else 0
    if at < len(_LENGTH):
        return None
    stop = data.find(b"\r", at, end + 1)
    digits = data[at:stop]
    if not digits.isdigit() or len(digits) > LONGEST_LENGTH:
        return None
    return Cut(data[:at] + data[stop:end], int(digits), end + 4)


class KnownHeads(Generic[Made]):
    """What was made of each."""

    def __init__(self) -> None:
        self._made: dict[bytes, Made] = {}
        self.of = self._made.get

    def learn(self, cut: Cut, made: Made) -> None:
        """What a parser made of the head that was cut."""
        before = cut.same[: cut.same.find(_LENGTH) + len(_LENGTH)]
        if before[-len(_LINE) :].lower() != _LINE:  # another header, which only ends alike
            return
        if len(self._made) >= MOST_HEADS:
            self._made.clear()
        self._made[cut.same] = made
