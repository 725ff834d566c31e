"""What one machine has to do, as its gateway knows it: prompts that wait to be read, requests that decode, on each of
its engines. Engines of one machine share it, so their work is one backlog.

Between two events the account follows the machine with the rates it believes in. What comes out of it later or sooner
than that corrects the rates: one sample of prefill and one of decode for each request.
"""

from collections import OrderedDict

from nodes.snapshot import EngineId
from router.rates import Bias, Rates

MOST_OF_HEAD = 0.95  # of the prompt being read: it is not done until its first token is there
LEAST_SAMPLE_S = 0.03  # a shorter prefill measures the way there and back
LEAST_SAMPLE_TOKENS = 8


class Work:
    """One request in flight on an engine."""

    __slots__ = ("cached", "expected_s", "first_at", "kv_tokens", "observed_s", "prompt", "seat")

    def __init__(self, seat: "Seat", prompt: int, cached: int, kv_tokens: int) -> None:
        self.seat, self.prompt, self.cached, self.kv_tokens = seat, prompt, cached, kv_tokens
        self.expected_s = seat.rates.read_s(cached, prompt)  # without bias
        self.observed_s: float | None = None  # that reading it took of its machine, by the account
        self.first_at: float | None = None  # steps of its engine that were counted until its first token


class Seat:
    """One engine on its machine."""

    __slots__ = ("bias", "decoding", "engine_id", "in_flight", "kv_tokens", "rates", "reading_s", "reading_tokens",
                 "slots")  # fmt: skip

    def __init__(self, engine_id: EngineId, rates: Rates, slots: int, bias: Bias) -> None:
        self.engine_id, self.rates, self.slots, self.bias = engine_id, rates, slots, bias
        self.in_flight = self.decoding = self.kv_tokens = 0
        self.reading_s, self.reading_tokens = 0.0, 0  # of prompts without a first token, without bias

    @property
    def step_s(self) -> float:
        """One decode step of what runs here; 0 when nothing does."""
        if not self.decoding:
            return 0.0
        return self.rates.decode_step_s(self.decoding, self.kv_tokens) * self.bias.decode


class MachineAccount:
    """Of all engines of one machine."""

    def __init__(self) -> None:
        self.seats: dict[EngineId, Seat] = {}
        self._reading: OrderedDict[Work, None] = OrderedDict()  # first come, first served
        self._head_s = 0.0  # that the machine has spent on the first of them
        self._steps = 0.0  # decode steps since ever
        self._at_s = 0.0

    def seat(self, seat: Seat) -> None:
        self.seats[seat.engine_id] = seat

    def unseat(self, engine_id: EngineId) -> None:
        """An engine is gone, and its work with it; what was sent to it ends on its own seat, seen by nobody."""
        seat = self.seats.pop(engine_id, None)
        for work in [work for work in self._reading if work.seat is seat]:
            self._read(work)

    def dispatch(self, work: Work, now_s: float) -> None:
        self.follow(now_s)
        seat = work.seat
        seat.in_flight += 1
        seat.kv_tokens += work.kv_tokens
        seat.reading_s += work.expected_s
        seat.reading_tokens += work.prompt - work.cached
        self._reading[work] = None

    def first_token(self, work: Work, now_s: float) -> None:
        self.follow(now_s)
        if work not in self._reading:
            return
        if next(iter(self._reading)) is work:
            work.observed_s = self._head_s
        self._read(work)
        work.seat.decoding += 1
        work.first_at = self._steps

    def end(self, work: Work, now_s: float, output_tokens: int | None = None, cached: int | None = None) -> None:
        """However it ended. Where the engine said what it did, the rates learn from it."""
        self.follow(now_s)
        seat = work.seat
        seat.in_flight -= 1
        seat.kv_tokens -= work.kv_tokens
        if work.first_at is None:
            if work in self._reading:
                self._read(work)
            return
        seat.decoding -= 1
        self._learn(work, output_tokens, cached)

    def backlog(self) -> tuple[float, int]:
        """Seconds and tokens that are to be read before a prompt that comes now."""
        seconds, tokens = 0.0, 0
        for seat in self.seats.values():
            seconds += seat.reading_s * seat.bias.prefill
            tokens += seat.reading_tokens
        if not self._reading:
            return 0.0, 0
        head = next(iter(self._reading))
        whole_s = head.expected_s * head.seat.bias.prefill
        return max(seconds - min(self._head_s, MOST_OF_HEAD * whole_s), 0.0), tokens

    def neighbours_step_s(self, engine_id: EngineId) -> float:
        return sum(seat.step_s for seat in self.seats.values() if seat.engine_id != engine_id)

    def _read(self, work: Work) -> None:
        head = next(iter(self._reading))
        del self._reading[work]
        work.seat.reading_s -= work.expected_s
        work.seat.reading_tokens -= work.prompt - work.cached
        if work.seat.reading_tokens <= 0:
            work.seat.reading_s = 0.0  # no dust of floats
        if head is work:
            self._head_s = 0.0

    def follow(self, now_s: float) -> None:
        """Go on to this moment: a step reads a chunk of the first prompt, if any, and gives each request a token."""
        passed_s = now_s - self._at_s
        self._at_s = now_s
        if passed_s <= 0:
            return
        step_s = sum(seat.step_s for seat in self.seats.values())
        head = next(iter(self._reading), None)
        if head is None or head.seat.decoding >= head.seat.slots:  # the first waits for a slot
            if step_s:
                self._steps += passed_s / step_s
            return
        rates, bias = head.seat.rates, head.seat.bias
        chunk_s = min(rates.chunk_tokens / rates.prefill, head.expected_s) * bias.prefill
        self._head_s += passed_s * chunk_s / (chunk_s + step_s) if step_s else passed_s
        if step_s:
            self._steps += passed_s / (chunk_s + step_s)

    def _learn(self, work: Work, output_tokens: int | None, cached: int | None) -> None:
        seat = work.seat
        if work.observed_s is not None:
            known = work.cached if cached is None else min(cached, work.prompt - 1)
            expected_s = seat.rates.read_s(known, work.prompt) * seat.bias.prefill
            if expected_s > LEAST_SAMPLE_S and work.observed_s > 0:
                seat.bias = seat.bias.after_prefill(work.observed_s / expected_s)
        if output_tokens is not None and output_tokens > LEAST_SAMPLE_TOKENS and work.first_at is not None:
            steps = self._steps - work.first_at
            if steps > 0:
                seat.bias = seat.bias.after_decode(steps / (output_tokens - 1))
