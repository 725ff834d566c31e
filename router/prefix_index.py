"""Which beginnings of prompts an engine's cache probably holds: chained block hashes, least recently used goes first.

A block's hash covers all before it, so one lookup a block finds the longest common beginning. Blocks are of a tenant:
none learns from a fast answer what another asked. The index is a little smaller than the cache it mirrors, for one that
believes in blocks which are gone sends sessions to engines that must read everything again.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from hashlib import blake2b

CAUTION = 0.9  # of a cache's size
BLOCK_TOKENS = 64
HASH_BYTES = 8

Chain = Sequence[Hashable]  # of blocks from the beginning of a prompt, each standing for all before it


def chain_of(tenant: str, text: bytes, block_bytes: int) -> tuple[bytes, ...]:
    """Whole blocks only: what follows will be continued by the next turn."""
    running = blake2b(tenant.encode(), digest_size=HASH_BYTES)
    chain = []
    for end in range(block_bytes, len(text) + 1, block_bytes):
        running.update(text[end - block_bytes : end])
        chain.append(running.copy().digest())
    return tuple(chain)


class PrefixIndex:
    """Of one engine."""

    def __init__(self, cache_tokens: int, block_tokens: int = BLOCK_TOKENS, caution: float = CAUTION) -> None:
        self._block_tokens = block_tokens
        self._most_blocks = max(int(cache_tokens * caution) // block_tokens, 1)
        self._blocks: OrderedDict[Hashable, None] = OrderedDict()  # the next to go first

    def __len__(self) -> int:
        return len(self._blocks)

    def match(self, chain: Chain) -> int:
        """Tokens of this prompt that need not be read again."""
        blocks, found = self._blocks, 0
        for block in chain:
            if block not in blocks:
                break
            found += 1
        return found * self._block_tokens

    def insert(self, chain: Chain) -> None:
        """The engine reads this prompt. Ends go before beginnings, which more prompts share."""
        blocks = self._blocks
        for block in reversed(chain):
            if block in blocks:
                blocks.move_to_end(block)
            else:
                blocks[block] = None
        for _ in range(len(blocks) - self._most_blocks):
            blocks.popitem(last=False)

    def clear(self) -> None:
        """The engine started anew."""
        self._blocks.clear()
