"""A question as the words that tell its texts apart. Pure.

FTS5 splits by what is neither letter nor digit and folds case and accents. So does this: a word here is a word there. A
long word is looked for by its beginning, so that it is found in other forms: "ciudades" by "ciudad". It is cruder than
a stemmer and needs to know no language; on XQuAD it finds more in Spanish and across languages, and no less in English.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

MOST_WORDS = 64
BEGINNING = 6  # letters of a longer word that it is looked for by; the store keeps an index of so long prefixes
WALK = 10_000  # chunks that are weighed for one question: what more there are have its common words only

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    whole: bool  # or the beginning of longer ones

    @property
    def past(self) -> str:
        """The first text that does not begin like it, in the order of code points."""
        return self.text[:-1] + chr(ord(self.text[-1]) + 1)


def words_of(text: str, most: int | None = MOST_WORDS) -> tuple[Word, ...]:
    """Each once, in order."""
    found = (Word(one[:BEGINNING], len(one) <= BEGINNING) for one in _split(text))
    return tuple(dict.fromkeys(found))[:most]


def beginnings(text: str) -> str:
    """Every word of it, folded, long ones by their beginning: what a server is given that only compares whole words."""
    return " ".join(one[:BEGINNING] for one in _split(text))


def places_of(words: Collection[str], text: str) -> tuple[tuple[int, int], ...]:
    """Where words that begin so stand in it, as they are: first character, and the one after the last."""
    folded, at = [], []
    for position, character in enumerate(text):
        for one in _folded(character):
            folded.append(one)
            at.append(position)
    found = [one for one in _WORD.finditer("".join(folded)) if one[0][:BEGINNING] in words]
    return tuple((at[one.start()], at[one.end() - 1] + 1) for one in found)


def _split(text: str) -> list[str]:
    return _WORD.findall(_folded(text))


def _folded(text: str) -> str:
    if text.isascii():
        return text.casefold()
    return "".join(one for one in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(one))


def telling(words: Sequence[Word], chunks_with: Mapping[Word, int]) -> tuple[Word, ...]:
    """Those that some text has, the rarest first, as many as are in WALK chunks together, and at least the rarest."""
    known = sorted((chunks_with[word], at, word) for at, word in enumerate(words) if chunks_with.get(word, 0) > 0)
    walked = accumulate(count for count, _, _ in known)
    return tuple(
        word for (_, _, word), together in zip(known, walked, strict=True) if together <= WALK or word is known[0][2]
    )


def any_of(words: Sequence[Word]) -> str:
    """The expression of FTS5 that any of these words meets. Quoted: a word may be one of its own, as NEAR is."""
    return " OR ".join(f'"{word.text}"' if word.whole else f'"{word.text}"*' for word in words)
