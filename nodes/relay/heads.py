"""Heads of HTTP messages that were read before. Those of one connection are mostly the same bytes, but for a length; so
what a parser once made of them is looked up, and the parser is not asked again.

Only the digits of `content-length` may differ, so another parser would find just what the first one did.
"""

from typing import Generic, TypeVar

MOST_HEADS = 256
LONGEST_BYTES = 4096  # of a head that is worth it
LONGEST_LENGTH = 9  # digits
_LENGTH = b"ength: "  # however it begins: clients write it in capitals or not
_BEHIND = len(_LENGTH)
_LINE = b"\r\ncontent-length: "

Made = TypeVar("Made")


Cut = tuple[bytes, int, int]
"""A message as far as its head tells: what stays the same, the length of the body, and where that begins."""


def cut(data: bytes) -> Cut | None:
    """None where no whole head with a length stands at the beginning."""
    find = data.find
    end = find(b"\r\n\r\n", 0, LONGEST_BYTES)
    at = find(_LENGTH, 0, end) + _BEHIND if end > 0 else 0
    if at < _BEHIND:
        return None
    stop = find(b"\r", at, end + 1)
    digits = data[at:stop]
    if stop - at > LONGEST_LENGTH or not digits.isdigit():
        return None
    return data[:at] + data[stop:end], int(digits), end + 4


class KnownHeads(Generic[Made]):
    """What was made of each."""

    def __init__(self) -> None:
        self._made: dict[bytes, Made] = {}
        self.of = self._made.get

    def learn(self, same: bytes, made: Made) -> None:
        """What a parser made of the head that was cut."""
        before = same[: same.find(_LENGTH) + _BEHIND]
        if before[-len(_LINE) :].lower() != _LINE:  # another header, which only ends alike
            return
        if len(self._made) >= MOST_HEADS:
            self._made.clear()
        self._made[same] = made
