"""What an idle machine may read ahead, and why: shared beginnings of prompts and engines in, one piece of work out.

A beginning that several sessions of a tenant share will be asked for again. Where it is not cached, whoever comes next
reads it all, or waits for the one machine that has it. A machine that nobody asks can read it before. That must cost
nobody anything: it happens where nothing runs or waits, in room that no session needs, and a piece at a time, each so
short that an engine which cannot be interrupted while it reads keeps nobody waiting for long.
"""

from collections.abc import Callable, Iterable

import msgspec

from inventory.catalog import ModelName
from nodes.snapshot import EngineId, NodeId
from router.prefix_index import Chain, PrefixIndex
from router.request import Feature

QUIET_S = 5.0  # that a machine has been idle: who has just had an answer may ask again
PIECE_S = 1.0  # of reading: nobody who comes waits longer for it
LEAST_TOKENS = 512  # that are missing: less is read in no time by whoever needs it
SHARE = 1 / 16  # of an engine's free room, for one beginning: a small cache would only lose others by it


class Beginning(msgspec.Struct, frozen=True):
    """Of prompts, that several sessions of one tenant had."""

    tenant: str
    model: ModelName
    chain: Chain
    seen_s: float  # when the last of them came
    needs: frozenset[Feature] = frozenset()  # of its engine
    classes: frozenset[str] = frozenset()  # privacy classes


class Spot(msgspec.Struct, frozen=True):
    """An engine at this moment, as far as warming looks at it."""

    engine_id: EngineId
    node_id: NodeId
    model: ModelName
    tokens_per_s: float  # that it reads, as was learnt
    quiet_s: float  # since its machine last did anything; 0: it is busy
    index: PrefixIndex
    context_tokens: int
    slots: int
    live_sessions: int = 0  # that will probably be back
    live_tokens: int = 0  # of these
    lacks: frozenset[Feature] = frozenset()

    @property
    def room_tokens(self) -> int:
        return max(self.index.kept_tokens - self.live_tokens, 0)


Allowed = Callable[[Beginning, Spot], bool]
"""Whether the machine may see this beginning."""


def _anywhere(beginning: Beginning, spot: Spot) -> bool:
    return True


class WarmUp(msgspec.Struct, frozen=True):
    """Read these blocks of a beginning on an engine: those that are cached there, and one piece more."""

    engine_id: EngineId
    node_id: NodeId
    beginning: Beginning
    chain: Chain
    last: bool  # what is missing of the beginning afterwards is not worth another piece
    reason: str


def choose(
    beginnings: Iterable[Beginning], spots: Iterable[Spot], waiting: int, allowed: Allowed = _anywhere
) -> WarmUp | None:
    """On the idle engine with the most room, a piece of what was asked for last, where that may be. Nothing while
    anybody waits."""
    if waiting:
        return None
    recent = sorted(beginnings, key=lambda beginning: -beginning.seen_s)
    for spot in sorted(spots, key=lambda spot: (-spot.room_tokens, spot.engine_id)):
        if spot.quiet_s >= QUIET_S:
            for beginning in recent:
                if allowed(beginning, spot) and worth_reading(beginning, spot):
                    return _piece(beginning, spot)
    return None


def worth_reading(beginning: Beginning, spot: Spot) -> bool:
    """Whether an engine should have it, once nobody asks its machine."""
    if beginning.model != spot.model or beginning.needs & spot.lacks:
        return False
    tokens = spot.index.tokens_of(beginning.chain)
    if tokens > min(SHARE * spot.room_tokens, spot.context_tokens - LEAST_TOKENS) or spot.live_sessions >= spot.slots:
        return False
    return tokens - spot.index.match(beginning.chain) >= LEAST_TOKENS


def _piece(beginning: Beginning, spot: Spot) -> WarmUp:
    index, chain = spot.index, beginning.chain
    tokens, cached = index.tokens_of(chain), index.match(chain)
    known = cached * len(chain) // tokens
    blocks = min(known + max(int(spot.tokens_per_s * PIECE_S) * len(chain) // tokens, 1), len(chain))
    last = tokens - index.tokens_of(chain[:blocks]) < LEAST_TOKENS
    reason = (
        f"several sessions began with these {tokens:,} tokens, of which {cached:,} are cached there; its machine has "
        f"been idle for {spot.quiet_s:.0f} s, and {spot.room_tokens:,} tokens of its cache are free"
    )
    return WarmUp(spot.engine_id, spot.node_id, beginning, chain[:blocks], last, reason)
