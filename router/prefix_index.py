"""Which beginnings of prompts an engine's cache probably holds: chained block hashes, least recently used goes first.

A block's hash covers all before it, so one lookup a block finds the longest common beginning. Blocks are of a tenant:
none learns from a fast answer what another asked. The index is a little smaller than the cache it mirrors, for one that
believes in blocks which are gone sends sessions to engines that must read everything again. How large that cache is,
engines know badly or do not say; how much of a prompt was cached, most of them tell. So the size is learnt from that.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

CAUTION = 0.9  # of a cache's size
BLOCK_TOKENS = 64
LEAST_KEPT, MOST_KEPT = 0.125, 2.0  # times what a cache is said to hold
MISSING = 0.25  # of a beginning that was believed in a cache: less may be another way to count tokens
RISE = 1 / 32  # of what was there beyond belief: it may be of somebody whose prompts are not in this index

Chain = Sequence[Hashable]  # of blocks from the beginning of a prompt, each standing for all before it


def chain_of(tenant: str, text: bytes, block_bytes: int) -> tuple[int, ...]:
    """Whole blocks only: what follows will be continued by the next turn.

    Python's own hash is keyed anew for each process: nobody can choose prompts that collide, and a chain says nothing
    elsewhere.
    """
    running, chain = hash(tenant), []
    for end in range(block_bytes, len(text) + 1, block_bytes):
        running = hash((running, text[end - block_bytes : end]))
        chain.append(running)
    return tuple(chain)


class PrefixIndex:
    """Of one engine. `kept` is what was learnt of its cache, as a share of the size that it is said to have."""

    def __init__(
        self, cache_tokens: int, block_tokens: int = BLOCK_TOKENS, caution: float = CAUTION, kept: float = 1.0
    ) -> None:
        self._told_tokens, self._block_tokens, self._caution = cache_tokens, block_tokens, caution
        self._blocks: OrderedDict[Hashable, None] = OrderedDict()  # the next to go first
        self.kept_tokens = cache_tokens
        self._keep(cache_tokens * kept)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def kept(self) -> float:
        return self.kept_tokens / max(self._told_tokens, 1)

    def tokens_of(self, chain: Chain) -> int:
        return len(chain) * self._block_tokens

    def match(self, chain: Chain) -> int:
        """Tokens of this prompt that need not be read again."""
        blocks, least, most = self._blocks, 0, len(chain)
        if most and chain[-1] in blocks:
            return most * self._block_tokens
        while least < most:  # no block is here without those before it, which are let go after it
            half = (least + most) // 2
            if chain[half] in blocks:
                least = half + 1
            else:
                most = half
        return least * self._block_tokens

    def insert(self, chain: Chain) -> int:
        """The engine reads this prompt. Ends go before beginnings, which more prompts share. Returns how many tokens of
        it were here."""
        blocks, known = self._blocks, 0
        for block in reversed(chain):
            if block in blocks:
                blocks.move_to_end(block)
                known += 1
            else:
                blocks[block] = None
        self._let_go()
        return known * self._block_tokens

    def told(self, known: int, cached: int, kept_then: int) -> None:
        """So many tokens of a prompt were cached, where so many were known when it was sent, and the cache was believed
        to keep so many.

        The oldest goes first: what is missing of a beginning had its place between the size that the cache has and the
        one that was believed. So it never has more than that without the missing part, whoever else was sent what in
        between; requests that were sent with the same belief say the same.
        """
        off = MISSING * known + self._block_tokens
        if known - cached > off:
            self._keep(min(self.kept_tokens, kept_then - (known - cached)))
        elif cached - known > off:
            self._keep(max(self.kept_tokens, kept_then + RISE * (cached - known)))

    def _keep(self, tokens: float) -> None:
        told = self._told_tokens
        self.kept_tokens = int(min(max(tokens, LEAST_KEPT * told), MOST_KEPT * told))
        self._most_blocks = max(int(self.kept_tokens * self._caution) // self._block_tokens, 1)
        self._let_go()

    def _let_go(self) -> None:
        for _ in range(len(self._blocks) - self._most_blocks):
            self._blocks.popitem(last=False)
