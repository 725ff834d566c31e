"""Prompts of a wanted number of tokens, none like another, so that no engine can share or reuse any part of one."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# One token each, with the space before them, in the usual vocabularies. Where they are not, calibration finds out.
_VOCABULARY = """
    time year people way day man thing woman life child world school state family group country problem hand part
    place case week company system program question work number night point home water room area money story fact
    month lot right study book eye job word business issue side kind head house service friend father power hour game
"""
WORDS = tuple(_VOCABULARY.split())
SHORT, LONG = 32, 96  # words of the two calibration prompts

CountTokens = Callable[[str], Awaitable[int]]


def words(count: int, source: random.Random) -> str:
    return " ".join(source.choices(WORDS, k=count))


@dataclass(frozen=True, slots=True)
class Ruler:
    """How many tokens a prompt of so many words has: `fixed` of every prompt, and some for each word."""

    fixed: float
    per_word: float

    @classmethod
    async def calibrate(cls, count_tokens: CountTokens, source: random.Random) -> "Ruler":
        short = await count_tokens(words(SHORT, source))
        long = await count_tokens(words(LONG, source))
        per_word = (long - short) / (LONG - SHORT)
        return cls(short - SHORT * per_word, per_word)

    def words_for(self, tokens: int) -> int:
        return max(1, int((tokens - self.fixed) / self.per_word))
