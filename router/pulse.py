"""When silence means that an engine hangs. Tokens are the proof of life, and a health endpoint proves nothing.

Signs of life come from the streams of an engine (any event of any of them) and from the counters that its node reports.
Every time is an argument; the gateway's sweeper asks a few times a second, so nothing here costs a token anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nodes.snapshot import EngineId

PREFILL_FACTOR = 4.0
SLOWEST_RATE = 20.0  # prompt tokens a second of an engine that was not measured yet: a large model on a CPU
LONG_PROMPT_TOKENS = 256  # shorter ones measure latency, not a rate
RATE_RISE = 1.02
FRESH_S = 5.0  # counters that were reported longer ago say nothing about this moment


def silence_limit_s(floor_s: float, waiting_tokens: int, rate: float | None) -> float:
    """How long an engine may be silent that has prompts of so many tokens to read before their first token."""
    return max(floor_s, PREFILL_FACTOR * waiting_tokens / (rate or SLOWEST_RATE))


def measured_rate(rate: float | None, prompt_tokens: int, seconds: float) -> float | None:
    """The rate of this engine after one more prompt. Falls at once and rises slowly: a prompt that lay in the engine's
    cache looks fast, and the next one may not lie there."""
    if prompt_tokens < LONG_PROMPT_TOKENS or seconds <= 0:
        return rate
    sample = prompt_tokens / seconds
    return sample if rate is None or sample < rate else min(sample, rate * RATE_RISE)


def hangs(quiet_s: float, limit_s: float, counters_age_s: float | None, streamed: bool) -> bool:
    """A stream that is silent hangs, unless the engine's counters moved meanwhile. An answer that is not streamed is
    silent to its end: there only counters that stand still are proof."""
    if quiet_s <= limit_s:
        return False
    if counters_age_s is None:
        return streamed
    # Half of the limit: counters reach the gateway up to two heartbeats late.
    return counters_age_s > (limit_s / 2 if streamed else limit_s)


@dataclass(frozen=True, slots=True)
class _Counters:
    """How long an engine's counters had stood still when its node reported it, and when the report arrived here."""

    age_s: float
    arrived_s: float


class Pulse:
    """What is known of each engine's life. Written by calls during a sweep and by each snapshot."""

    def __init__(self) -> None:
        self._signs: dict[EngineId, float] = {}
        self._rates: dict[EngineId, float] = {}
        self._waiting: dict[EngineId, int] = {}
        self._counters: dict[EngineId, _Counters] = {}
        self.lost: frozenset[EngineId] = frozenset()  # engines of machines that are gone

    def follow(self, ages: Iterable[tuple[EngineId, float | None]], lost: frozenset[EngineId], now_s: float) -> None:
        """A snapshot: each engine with how long its counters have stood still while busy; None where it is idle."""
        self._counters = {engine_id: _Counters(age_s, now_s) for engine_id, age_s in ages if age_s is not None}
        self.lost = lost

    def begin_sweep(self) -> None:
        self._waiting.clear()

    def waits(self, engine_id: EngineId, prompt_tokens: int) -> None:
        """A call waits for its first token."""
        self._waiting[engine_id] = self._waiting.get(engine_id, 0) + prompt_tokens

    def sign(self, engine_id: EngineId, now_s: float) -> None:
        """Something came out of it since the sweep before."""
        self._signs[engine_id] = now_s

    def measured(self, engine_id: EngineId, prompt_tokens: int, seconds: float) -> None:
        rate = measured_rate(self._rates.get(engine_id), prompt_tokens, seconds)
        if rate is not None:
            self._rates[engine_id] = rate

    def silence(self, engine_id: EngineId, since_s: float, now_s: float) -> float:
        """Seconds without a sign of life, for a call that has waited since `since_s`."""
        return now_s - max(since_s, self._signs.get(engine_id, since_s))

    def moved_within(self, engine_id: EngineId, seconds: float, now_s: float) -> bool:
        """True if anything came out of it so recently."""
        sign_s = self._signs.get(engine_id)
        return sign_s is not None and now_s - sign_s < seconds

    def limit_s(self, engine_id: EngineId, floor_s: float) -> float:
        return silence_limit_s(floor_s, self._waiting.get(engine_id, 0), self._rates.get(engine_id))

    def counters_age_s(self, engine_id: EngineId, now_s: float) -> float | None:
        known = self._counters.get(engine_id)
        if known is None or now_s - known.arrived_s > FRESH_S:
            return None
        return known.age_s + now_s - known.arrived_s
