"""What a simulated engine says: text that tells what it is, cut into tokens, and vectors that mean nothing. Pure."""

import base64
import hashlib
import re
import struct
import zlib

from nodes.engines.simulated_batch import Tokens
from nodes.rates import Rates

_TOKEN = re.compile(r"\s?[^\s]{1,5}|\s")
_LEAST_TOKENS, _MORE_TOKENS = 90, 80  # of an answer that nobody limits; by its prompt, so that it is always the same
DIMENSIONS = 256


def tokens_of(text: str) -> Tokens:
    """Pieces of up to five characters, a blank before them included: about what real vocabularies do to prose."""
    return tuple(_TOKEN.findall(text))


def opening(kind: str, model: str, where: str, rates: Rates) -> str:
    return (
        f"SIMULATED: no model has run. A simulated {kind} engine stands in for {model} on {where}. "
        f"It keeps the pace that arithmetic gives such a machine: {rates.prefill:,.0f} tokens of a prompt and "
        f"{1 / rates.decode_step_s(1, 0):,.0f} tokens of one answer in a second. The rest is filler."
    )


def answer_of(said: str, prompt: Tokens, most_tokens: int) -> tuple[Tokens, bool]:
    """The tokens of an answer, and whether a limit cut it short."""
    natural = _LEAST_TOKENS + zlib.crc32("".join(prompt).encode()) % _MORE_TOKENS
    found, number = tokens_of(said), 0
    while len(found) < natural:
        number += 1
        found += tokens_of(f" Sentence {number} of a simulated answer.")
    return found[:most_tokens], most_tokens < len(found)


def vector_of(text: str) -> list[float]:
    """The same for the same text, of length one, and near to no other."""
    values = struct.unpack(f"<{DIMENSIONS}h", hashlib.shake_256(text.encode()).digest(2 * DIMENSIONS))
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return [round(value / length, 6) for value in values]


def packed(vector: list[float]) -> str:
    """As base64 of little-endian floats of four bytes, which is how OpenAI's clients ask for it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
