"""What a simulated engine does with its requests: continuous batching, prompts in parts, prefixes that are kept. Pure.

Time is not here: a step says how long it takes at the engine's rates, and whoever runs the batch waits for so long.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from nodes.rates import Rates

Tokens = tuple[str, ...]


@dataclass(eq=False)
class Work:
    """One request. `answer` is what it will get, a token each; `cached` of its prompt need not be read."""

    prompt: Tokens
    answer: Tokens
    cached: int = 0
    read: int = 0
    written: int = 0
    slot: int | None = None

    @property
    def has_read(self) -> bool:
        return self.read >= len(self.prompt)

    @property
    def is_done(self) -> bool:
        return self.has_read and self.written >= len(self.answer)

    @property
    def held_tokens(self) -> int:
        return self.read + self.written


@dataclass(frozen=True, slots=True)
class Step:
    """One evaluation: a part of one prompt, and a token for everybody who writes."""

    seconds: float
    reading: Work | None
    part: int  # tokens of its prompt
    writing: tuple[Work, ...]


@dataclass
class Counts:
    steps: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass
class Batch:
    """`slots` requests at a time, the others wait in order. A slot remembers the prompt that it had last."""

    rates: Rates
    slots: int
    context_tokens: int
    counts: Counts = field(default_factory=Counts)
    _running: list[Work] = field(default_factory=list)
    _waiting: deque[Work] = field(default_factory=deque)
    _kept: dict[int, Tokens] = field(default_factory=dict)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def kv_used(self) -> float:
        return min(1.0, sum(work.held_tokens for work in self._running) / (self.slots * self.context_tokens))

    def put(self, work: Work) -> None:
        self._waiting.append(work)
        self._admit()

    def leave(self, work: Work) -> None:
        """Its client is gone, or has everything. What was read of its prompt stays with the slot."""
        if work in self._waiting:
            self._waiting.remove(work)
        if work in self._running and work.slot is not None:
            self._running.remove(work)
            self._kept[work.slot] = (work.prompt + work.answer)[: work.held_tokens] if work.has_read else ()
        self._admit()

    def next_step(self) -> Step | None:
        """None where there is nothing to do."""
        reading = next((work for work in self._running if not work.has_read), None)
        writing = tuple(work for work in self._running if work.has_read and not work.is_done)
        if reading is None and not writing:
            return None
        seconds, part = 0.0, 0
        if writing:
            seconds += self.rates.decode_step_s(len(writing), sum(work.held_tokens for work in writing))
        if reading is not None:
            part = min(self.rates.chunk_tokens, len(reading.prompt) - reading.read)
            seconds += self.rates.read_s(reading.read, reading.read + part)
            if not writing:
                seconds = max(seconds, self.rates.step_s)  # a pass through all weights is the least
        return Step(seconds, reading, part, writing)

    def done(self, step: Step) -> tuple[Work, ...]:
        """Who has one more token by it. The last part of a prompt brings the first one."""
        self.counts.steps += 1
        told = [work for work in step.writing if work in self._running]
        if step.reading is not None and step.reading in self._running:
            step.reading.read += step.part
            self.counts.prompt_tokens += step.part
            if step.reading.has_read and step.reading.answer:
                told.append(step.reading)
        for work in told:
            work.written += 1
            self.counts.output_tokens += 1
        return tuple(told)

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self.slots:
            work = self._waiting.popleft()
            taken = {other.slot for other in self._running}
            free = [slot for slot in range(self.slots) if slot not in taken]
            known = {slot: common(self._kept.get(slot, ()), work.prompt) for slot in free}
            # Where it knows none of them, the one that forgets the least by it.
            work.slot = max(free, key=lambda slot: (known[slot], -len(self._kept.get(slot, ()))))
            # The last token of a prompt is always read: the first one of the answer comes out of it.
            work.cached = min(known[work.slot], max(0, len(work.prompt) - 1))
            work.read = work.cached
            self._running.append(work)


def common(before: Sequence[str], prompt: Sequence[str]) -> int:
    """Tokens that both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, prompt, strict=False)))
