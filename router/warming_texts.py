"""The texts of shared beginnings, for as long as an idle machine may read them: in memory only, few, and not for long.

They are what users wrote. So no more bytes of them are kept than a bound, none longer than a machine might get to it,
and each goes as soon as it has been read.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import msgspec

from router.warming import Beginning

MOST_BYTES = 8 * 1024 * 1024  # of all texts
MOST_OF_ONE = 1024 * 1024
KEPT_S = 600.0  # since somebody last asked for it

Text = TypeVar("Text")
_Key = tuple[str, Hashable]


class _Held(msgspec.Struct, Generic[Text]):
    beginning: Beginning
    text: Text
    size_bytes: int


class HeldTexts(Generic[Text]):
    """By beginning. Times are arguments and never run backwards."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_of_one: int = MOST_OF_ONE, kept_s: float = KEPT_S) -> None:
        self._most_bytes, self._most_of_one, self._kept_s = most_bytes, most_of_one, kept_s
        self._held: OrderedDict[_Key, _Held[Text]] = OrderedDict()  # the longest unasked first
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def beginnings(self) -> Iterable[Beginning]:
        return [held.beginning for held in self._held.values()]

    def seen(self, beginning: Beginning) -> bool:
        """It was asked for again. False if its text is not here."""
        held = self._held.get(_key(beginning))
        if held is None:
            return False
        held.beginning = beginning
        self._held.move_to_end(_key(beginning))
        return True

    def keep(self, beginning: Beginning, text: Text, size_bytes: int) -> None:
        """Unless it is too long. The longest unasked make room for it."""
        self.drop(beginning)
        if size_bytes > self._most_of_one:
            return
        self._held[_key(beginning)] = _Held(beginning, text, size_bytes)
        self.held_bytes += size_bytes
        while self.held_bytes > self._most_bytes:
            self._forget(next(iter(self._held)))

    def text(self, beginning: Beginning) -> Text | None:
        held = self._held.get(_key(beginning))
        return held.text if held is not None else None

    def drop(self, beginning: Beginning) -> None:
        if _key(beginning) in self._held:
            self._forget(_key(beginning))

    def expire(self, now_s: float) -> None:
        while self._held:
            key, held = next(iter(self._held.items()))
            if now_s - held.beginning.seen_s <= self._kept_s:
                return
            self._forget(key)

    def clear(self) -> None:
        self._held.clear()
        self.held_bytes = 0

    def _forget(self, key: _Key) -> None:
        self.held_bytes -= self._held.pop(key).size_bytes


def _key(beginning: Beginning) -> _Key:
    """The last block's hash covers all before it, and the tenant."""
    return beginning.model, beginning.chain[-1]
