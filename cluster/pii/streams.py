"""A text that comes in pieces, cut anywhere: pseudonyms put back, and what must not be said blanked. Pure.

Of what has come, no more is held back than could still become something else with what follows: the beginning of a
pseudonym of this very request, and, where values are blanked, the word or the number that is being written.
"""

from collections.abc import Callable, Mapping

from cluster.pii.policy import Plan
from cluster.pii.pseudonyms import LONGEST, TOKEN, blank
from cluster.pii.rewriting import Change, replaced
from cluster.pii.scan import scan

CONTEXT = 96  # characters before a value that recognisers may want to see
MOST_GROUPS = 64  # characters of a number that is written in groups
MOST_HELD, MOST_KEY = 4_096, 20_000
_KEY, _KEY_END = "-----BEGIN ", "-----END "


class Restoring:
    """Pseudonyms for their values. Others, which this request did not make, stay. `quoted` says how a value is written
    where the text is, as within JSON."""

    def __init__(self, values: Mapping[str, str], quoted: Callable[[str], str] = str) -> None:
        self._values, self._quoted, self._held = values, quoted, ""

    def push(self, piece: str) -> str:
        text = self._held + piece
        cut = self._open_from(text)
        self._held = text[cut:]
        return self._restored(text[:cut])

    def flush(self) -> str:
        text, self._held = self._held, ""
        return self._restored(text)

    def _open_from(self, text: str) -> int:
        """Where a pseudonym may have begun that has not ended."""
        at = text.rfind("[", max(0, len(text) - LONGEST + 1))
        tail = text[at:] if at != -1 else ""
        return at if tail and any(token.startswith(tail) and token != tail for token in self._values) else len(text)

    def _restored(self, text: str) -> str:
        if "[" not in text:
            return text
        return TOKEN.sub(lambda found: self._value_of(found.group()), text)

    def _value_of(self, token: str) -> str:
        value = self._values.get(token)
        return token if value is None else self._quoted(value)


class Blanking:
    """What its plan blanks or refuses, of a text that nobody has seen yet."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._held, self._said = plan, "", ""

    def push(self, piece: str) -> str:
        self._held += piece
        cut = _open_from(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        return self._blanked(ready)

    def flush(self) -> str:
        ready, self._held = self._held, ""
        return self._blanked(ready)

    def _blanked(self, ready: str) -> str:
        if not ready:
            return ""
        whole, begins = self._said + ready, len(self._said)
        self._said = whole[-CONTEXT:]
        changes = [
            Change(max(span.start, begins), span.end, blank(span.kind))
            for span in scan(whole, self._plan.least)
            if span.end > begins and self._plan.policy_of(span.kind) in ("redact", "refuse")
        ]
        return replaced(whole, changes)[begins:]


def _open_from(text: str) -> int:
    """Where a value may have begun that goes on with what follows."""
    key = text.rfind(_KEY)
    closed = 0 if key == -1 else _closed(text, key)
    if closed == -1 and len(text) - key < MOST_KEY:
        return key
    cut = _word(text, len(text))
    while cut > 0 and len(text) - cut < MOST_GROUPS and text[cut - 1] in " \u00a0":
        before = _word(text, cut - 1)
        if not _of_number(text[before : cut - 1]):
            break
        cut = before
    cut = max(cut, closed)
    return cut if len(text) - cut <= MOST_HELD else len(text)


def _closed(text: str, key: int) -> int:
    """Where the private key ends that begins here; -1 where it has not."""
    ended = text.find(_KEY_END, key)
    last = text.find("-----", ended + len(_KEY_END)) if ended != -1 else -1
    return last + 5 if last != -1 else -1


def _word(text: str, end: int) -> int:
    """Where the word begins that ends here."""
    begins = max(text.rfind(gap, 0, end) for gap in (" ", "\u00a0", "\n", "\t"))
    return begins + 1


def _of_number(word: str) -> bool:
    """Whether another group of a number may follow it."""
    return any(one.isdigit() for one in word) or (0 < len(word) <= 4 and word.isascii() and word.isupper())
