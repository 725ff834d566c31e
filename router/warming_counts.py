"""Which beginnings of prompts several sessions share: hashes of blocks, and whose they were; the least recent go first.

A block's hash covers all before it and the tenant it is of, so nothing is ever shared between two tenants, and what is
kept here says nothing of a prompt's words.
"""

from collections import OrderedDict
from collections.abc import Hashable

from router.prefix_index import Chain

LEAST_SESSIONS = 3  # distinct ones, before a beginning counts as shared: two may be one that was asked again
MOST_BLOCKS = 65_536

_Block = tuple[Hashable, Hashable]


class SharedBeginnings:
    """Of all models. `seen` is told of each request that goes to an engine, with the session it is of."""

    def __init__(self, least_sessions: int = LEAST_SESSIONS, most_blocks: int = MOST_BLOCKS) -> None:
        self._least, self._most = least_sessions, most_blocks
        self._sessions: OrderedDict[_Block, tuple[Hashable, ...]] = OrderedDict()  # the next to go first

    def __len__(self) -> int:
        return len(self._sessions)

    def seen(self, model: Hashable, chain: Chain, session: Hashable) -> int:
        """How many blocks from the beginning enough sessions have had, this one among them."""
        sessions, shared = self._sessions, 0
        for at in range(len(chain) - 1, -1, -1):  # ends go before beginnings, which more prompts share
            block = (model, chain[at])
            known = sessions.get(block, ())
            if len(known) < self._least and session not in known:
                known = (*known, session)
            sessions[block] = known
            sessions.move_to_end(block)
            if not shared and len(known) >= self._least:
                shared = at + 1
        while len(sessions) > self._most:
            sessions.popitem(last=False)
        return shared
