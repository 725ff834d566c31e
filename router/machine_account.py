"""What one machine has to do, as its gateway knows it: prompts that wait to be read, requests that decode, on each of
its engines. Engines of one machine share it, so their work is one backlog.

Between two events the account follows the machine with the rates it believes in. What comes out of it later or sooner
than that corrects the rates: one sample of prefill and one of decode for each request.
"""

from collections import OrderedDict

from nodes.rates import Rates
from nodes.snapshot import EngineId
from router.rates import Bias
from router.second_look import SecondLook
from router.strangers import Report, Strangers

MOST_OF_HEAD = 0.95  # of the prompt being read: it is not done until its first token is there
LEAST_SAMPLE_S = 0.03  # a shorter prefill measures the way there and back
LEAST_SAMPLE_TOKENS = 8


class Work:
    """One request in flight on an engine."""

    __slots__ = ("cached", "chunk_s", "expected_s", "first_at", "kv_tokens", "observed_s", "prompt", "seat", "whole")

    def __init__(self, seat: "Seat", prompt: int, cached: int, kv_tokens: int, whole: bool = False) -> None:
        self.seat, self.prompt, self.cached, self.kv_tokens = seat, prompt, cached, kv_tokens
        self.whole = whole  # nobody will tell of its first token: it is believed to come when it is due
        self.expected_s = expected_s = seat.rates.prompt_s(cached, prompt)  # without bias
        self.chunk_s = seat.chunk_s if seat.chunk_s < expected_s else expected_s  # of it in one step, likewise
        self.observed_s: float | None = None  # that reading it took of its machine, by the account
        self.first_at: float | None = None  # steps of its engine that were counted until its first token


class Seat:
    """One engine on its machine."""

    __slots__ = ("believed", "bias", "chunk_s", "decoding", "engine_id", "in_flight", "kv_tokens", "look",
                 "most_in_flight", "most_warming", "rates", "reading_s", "reading_tokens", "slots", "step_s",
                 "strangers", "warming")  # fmt: skip

    def __init__(self, engine_id: EngineId, rates: Rates, slots: int, bias: Bias) -> None:
        self.engine_id, self.rates, self.slots = engine_id, rates, slots
        self.chunk_s = rates.chunk_tokens / rates.prefill  # of a long prompt, without bias
        self.bias = self.believed = bias  # as learnt, and as decisions reckon with it
        self.look = SecondLook()
        self.strangers = Strangers()
        self.in_flight = self.decoding = self.kv_tokens = 0  # strangers among them; what these hold nobody tells
        self.most_in_flight = 0  # since its engine was heard
        self.warming = self.most_warming = 0  # warm-ups, which are in no decision's way: likewise
        self.reading_s, self.reading_tokens = 0.0, 0  # of prompts without a first token, without bias
        self.step_s = 0.0  # one decode step of what runs here; 0 when nothing does

    def changed(self) -> None:
        """Its bias, who decodes here, or what these hold: less often than somebody asks what a step takes."""
        decoding = self.decoding
        self.step_s = self.rates.decode_step_s(decoding, self.kv_tokens) * self.bias.decode if decoding else 0.0

    def hear(self, report: Report | None, now_s: float) -> None:
        """What its engine says of itself, as far as it is known at this moment."""
        strangers = self.strangers
        count, running = strangers.count, strangers.running
        news = strangers.heard(report, self.most_in_flight - count + self.most_warming, now_s)
        more = strangers.count - count
        self.in_flight += more
        self.decoding += strangers.running - running
        self.changed()
        self.most_in_flight = self.in_flight if news else self.most_in_flight + more
        self.most_warming = self.warming if news else self.most_warming

    def warm(self, more: int) -> None:
        """A warm-up begins there, or ends: 1 or -1."""
        self.warming = max(self.warming + more, 0)  # one may end that began before its engine was started anew
        self.most_warming = max(self.most_warming, self.warming)

    def look_again(self, now_s: float) -> None:
        if not self.in_flight:
            self.look.idle(now_s)
            self._believe()

    def saw(self, now_s: float, ratio: float | None) -> None:
        self.look.saw(now_s, ratio)
        self._believe()

    def _believe(self) -> None:
        self.believed = self.bias if self.look.hope == 1.0 else self.bias.hoped(self.look.hope)


class MachineAccount:
    """Of all engines of one machine."""

    def __init__(self) -> None:
        self.seats: dict[EngineId, Seat] = {}
        self._reading: OrderedDict[Work, None] = OrderedDict()  # first come, first served
        self._head: Work | None = None  # the first of them
        self._head_s = 0.0  # that the machine has spent on it
        self._steps = 0.0  # decode steps since ever
        self._at_s = self._busy_s = 0.0

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
        if seat.in_flight > seat.most_in_flight:
            seat.most_in_flight = seat.in_flight
        seat.kv_tokens += work.kv_tokens
        if seat.decoding:
            seat.changed()
        seat.reading_s += work.expected_s
        seat.reading_tokens += work.prompt - work.cached
        self._reading[work] = None
        if self._head is None:
            self._head = work

    def first_token(self, work: Work, now_s: float) -> None:
        self.follow(now_s)
        if work not in self._reading:
            return
        if work is self._head:
            work.observed_s = self._head_s
        self._begins(work)

    def end(self, work: Work, now_s: float, output_tokens: int | None = None, cached: int | None = None) -> None:
        """However it ended. Where the engine said what it did, the rates learn from it."""
        self.follow(now_s)
        seat, learn = work.seat, self._learn_whole if work.whole else self._learn
        ratio = learn(work, output_tokens, cached)
        seat.in_flight -= 1
        self._busy_s = now_s
        seat.kv_tokens -= work.kv_tokens
        if work.first_at is not None:
            seat.decoding -= 1
        elif work in self._reading:
            self._read(work)
        if seat.decoding or seat.step_s:
            seat.changed()
        seat.saw(now_s, ratio)

    def quiet_s(self, now_s: float) -> float:
        """Since it last had anything to do, as far as anybody looked; 0 while it has."""
        if any(seat.in_flight for seat in self.seats.values()):
            self._busy_s = now_s
        return now_s - self._busy_s

    def backlog(self) -> tuple[float, int]:
        """Seconds and tokens that are to be read before a prompt that comes now."""
        head = self._head
        if head is None:
            return 0, 0
        seconds, tokens = 0.0, 0
        for seat in self.seats.values():
            if seat.reading_tokens:
                seconds += seat.reading_s * seat.bias.prefill
                tokens += seat.reading_tokens
        spent_s, most_s = self._head_s, MOST_OF_HEAD * (head.expected_s * head.seat.bias.prefill)
        left_s = seconds - (spent_s if spent_s < most_s else most_s)
        return (left_s if left_s > 0 else 0), tokens

    def neighbours_step_s(self, of: Seat) -> float:
        """A decode step of the other engines here."""
        step_s: float = 0
        for seat in self.seats.values():
            if seat.step_s and seat is not of:
                step_s += seat.step_s
        return step_s

    def _begins(self, work: Work) -> None:
        self._read(work)
        work.seat.decoding += 1
        work.seat.changed()
        work.first_at = self._steps

    def _read(self, work: Work) -> None:
        del self._reading[work]
        seat = work.seat
        seat.reading_s -= work.expected_s
        seat.reading_tokens -= work.prompt - work.cached
        if seat.reading_tokens <= 0:
            seat.reading_s = 0.0  # no dust of floats
        if work is self._head:
            self._head, self._head_s = next(iter(self._reading), None), 0.0

    def follow(self, now_s: float) -> None:
        """Go on to this moment: a step reads a chunk of the first prompt, if any, and gives each request a token."""
        passed_s = now_s - self._at_s
        self._at_s = now_s
        while passed_s > 0:
            passed_s -= self._go_on(passed_s)

    def _go_on(self, passed_s: float) -> float:
        """By so many seconds, or until the first token of the first prompt is due. Returns by how many."""
        head, step_s = self._head, 0.0
        for seat in self.seats.values():
            step_s += seat.step_s
        if head is None or head.seat.decoding >= head.seat.slots:  # the first waits for a slot
            if step_s:
                self._steps += passed_s / step_s
            return passed_s
        if not step_s and not head.whole:
            self._head_s += passed_s
            return passed_s
        bias, due = head.seat.bias.prefill, False
        chunk_s = head.chunk_s * bias
        both_s = chunk_s + step_s
        share = chunk_s / both_s
        if head.whole:
            due_s = (head.expected_s * bias - self._head_s) / share
            if due_s <= passed_s:
                due, passed_s = True, due_s if due_s > 0.0 else 0.0
        self._head_s += passed_s * share
        self._steps += passed_s / both_s
        if due:
            head.observed_s = self._head_s
            self._begins(head)
        return passed_s

    def _learn(self, work: Work, output_tokens: int | None, cached: int | None) -> float | None:
        """How many times as long as expected it took, at most; None where that does not show."""
        seat, most = work.seat, 0.0
        if work.observed_s is not None:
            known = work.cached if cached is None else min(cached, work.prompt - 1)
            expected_s = seat.rates.prompt_s(known, work.prompt) * seat.bias.prefill
            if expected_s > LEAST_SAMPLE_S and work.observed_s > 0:
                most = work.observed_s / expected_s
                seat.bias = seat.bias.after_prefill(most)
        if output_tokens is not None and output_tokens > LEAST_SAMPLE_TOKENS and work.first_at is not None:
            steps = self._steps - work.first_at
            if steps > 0:
                ratio = steps / (output_tokens - 1)
                most = max(most, ratio)
                seat.bias = seat.bias.after_decode(ratio)
        return most or None

    def _learn_whole(self, work: Work, output_tokens: int | None, cached: int | None) -> float | None:
        """The same from an answer that came at once. Nobody saw where reading ended and writing began: what took longer
        by all that is known is corrected, by how much longer both took together."""
        seat, spent_s, steps = work.seat, work.observed_s, 0.0
        if work.first_at is not None:
            steps = self._steps - work.first_at
        elif work is self._head:
            spent_s = self._head_s
        if output_tokens is None or spent_s is None:
            return None
        step_s = seat.step_s or seat.rates.decode_step_s(1, work.kv_tokens) * seat.bias.decode
        known = work.cached if cached is None else min(cached, work.prompt - 1)
        read_s, write_s = seat.rates.prompt_s(known, work.prompt) * seat.bias.prefill, output_tokens * step_s
        ratio = (spent_s + steps * step_s) / (read_s + write_s)
        if read_s + write_s <= LEAST_SAMPLE_S or ratio <= 0:
            return None
        seat.bias = seat.bias.after_prefill(ratio) if read_s > write_s else seat.bias.after_decode(ratio)
        return ratio
