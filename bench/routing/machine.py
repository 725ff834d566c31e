"""A simulated machine, event by event: prompts are read first come, first served, a chunk in each step beside the
requests that decode; slots, cache and the memory's bandwidth are as scarce as on a real one.
"""

from collections import OrderedDict, deque
from heapq import heappop, heappush

from bench.routing.fleet import EngineSpec, NodeSpec
from bench.routing.load import Job

EPSILON = 1e-9


class BlockCache:
    """What an engine keeps of prompts and answers: the least recently used block goes first."""

    def __init__(self, most_blocks: int) -> None:
        self._most_blocks = most_blocks
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def match(self, chain: tuple[int, ...]) -> int:
        blocks, found = self._blocks, 0
        for block in chain:
            if block not in blocks:
                break
            found += 1
        return found

    def insert(self, chain: tuple[int, ...]) -> None:
        blocks = self._blocks
        for block in reversed(chain):
            if block in blocks:
                blocks.move_to_end(block)
            else:
                blocks[block] = None
        for _ in range(len(blocks) - self._most_blocks):
            blocks.popitem(last=False)


class Engine:
    """One model on one machine. `in_flight` and below are what any gateway would count."""

    def __init__(self, machine: "Machine", spec: EngineSpec, block_tokens: int) -> None:
        self.machine, self.spec, self.rates = machine, spec, spec.rates
        self.name = f"{machine.name}/{spec.model}"
        self.block_tokens = block_tokens
        self.cache = BlockCache(spec.cache_tokens // block_tokens)
        self.waiting: deque[Job] = deque()
        self.admitted: set[Job] = set()
        self.held_tokens = 0  # of the cache, by those admitted
        self.decoding = 0
        self.context_tokens = 0.0  # that a decode step reads
        self.in_flight: dict[Job, None] = {}
        self.unread: dict[Job, None] = {}  # in flight without a first token

    def read_s(self, job: Job, cached: int) -> float:
        """To the first token, with the machine for itself."""
        return max(self.rates.read_s(cached, job.prompt), self.spec.least_prompt_s) * job.turn.noise

    def fits(self, job: Job) -> bool:
        return job.tokens <= min(self.spec.context_tokens, self.spec.cache_tokens)

    def cached_tokens(self, job: Job) -> int:
        return min(self.cache.match(job.turn.prompt_chain) * self.block_tokens, job.prompt - 1)

    @property
    def step_s(self) -> float:
        return self.rates.decode_step_s(self.decoding, self.context_tokens) if self.decoding else 0.0

    def has_room(self, job: Job) -> bool:
        if not self.admitted:
            return True
        return len(self.admitted) < self.spec.slots and self.held_tokens + job.tokens <= self.spec.cache_tokens


class Machine:
    """Its engines share it. Between two events everything goes on at a steady pace."""

    def __init__(self, spec: NodeSpec, block_tokens: int) -> None:
        self.name, self.round_trip_s = spec.name, spec.round_trip_s
        self.engines = [Engine(self, engine, block_tokens) for engine in spec.engines]
        self.queue: deque[tuple[Engine, Job]] = deque()  # admitted, not read
        self.head: tuple[Engine, Job] | None = None
        self.head_left_s = 0.0
        self.busy_s = 0.0
        self.version = 0
        self._ends: list[tuple[float, int, Engine, Job]] = []  # by the step at which they end
        self._steps = 0.0
        self._at_s = 0.0

    def submit(self, engine: Engine, job: Job, now_s: float) -> None:
        self.go_on(now_s)
        engine.waiting.append(job)
        self._admit(engine)
        self.version += 1

    def next_s(self) -> float | None:
        """When something happens, if nothing comes before."""
        share, pace = self._pace()
        times = []
        if self.head is not None:
            times.append(max(self.head_left_s, 0.0) / share)
        if self._ends:
            times.append(max(self._ends[0][0] - self._steps, 0.0) / pace)
        return self._at_s + min(times) if times else None

    def events(self, now_s: float) -> tuple[list[Job], list[Job]]:
        """Who has its first token at this moment, and whose answer is complete."""
        self.go_on(now_s)
        firsts, ended = [], []
        if self.head is not None and self.head_left_s <= EPSILON:
            firsts.append(self._read(now_s))
        while self._ends and self._ends[0][0] - self._steps <= EPSILON:
            _, _, engine, job = heappop(self._ends)
            ended.append(self._leave(engine, job, now_s))
        self.version += 1
        return firsts, ended

    def go_on(self, now_s: float) -> None:
        passed_s = now_s - self._at_s
        self._at_s = now_s
        if passed_s <= 0:
            return
        share, pace = self._pace()
        if share or pace:
            self.busy_s += passed_s
        self.head_left_s -= passed_s * share
        steps = passed_s * pace
        self._steps += steps
        for engine in self.engines:
            engine.context_tokens += engine.decoding * steps

    def left_s(self) -> float:
        """Of prompts that were admitted or wait, by what is really cached. Only a clairvoyant knows."""
        seconds = max(self.head_left_s, 0.0) if self.head is not None else 0.0
        for engine, job in self.queue:
            seconds += engine.read_s(job, engine.cached_tokens(job))
        for engine in self.engines:
            for job in engine.waiting:
                seconds += engine.read_s(job, engine.cached_tokens(job))
        return seconds

    def steps_left(self, engine: Engine) -> list[float]:
        """Until each decoding request of an engine ends."""
        return sorted(at - self._steps for at, _, one, _ in self._ends if one is engine)

    def _pace(self) -> tuple[float, float]:
        """Seconds of reading, and steps of decoding, for each second that passes."""
        step_s = 0.0
        for engine in self.engines:
            step_s += engine.step_s
        if self.head is None:
            return 0.0, (1.0 / step_s if step_s else 0.0)
        if not step_s:
            return 1.0, 0.0
        engine, job = self.head
        chunk_s = job.own_s * min(engine.rates.chunk_tokens / (job.prompt - job.cached), 1.0)
        return chunk_s / (chunk_s + step_s), 1.0 / (chunk_s + step_s)

    def _admit(self, engine: Engine) -> None:
        while engine.waiting and engine.has_room(engine.waiting[0]):
            job = engine.waiting.popleft()
            engine.admitted.add(job)
            engine.held_tokens += job.tokens
            self.queue.append((engine, job))
        if self.head is None and self.queue:
            self.head = engine, job = self.queue.popleft()
            job.cached = engine.cached_tokens(job)
            job.own_s = engine.read_s(job, job.cached)
            self.head_left_s = job.own_s

    def _read(self, now_s: float) -> Job:
        assert self.head is not None
        engine, job = self.head
        self.head = None
        engine.cache.insert(job.turn.prompt_chain)
        job.first_s = now_s + self.round_trip_s
        engine.decoding += 1
        engine.context_tokens += job.prompt
        heappush(self._ends, (self._steps + job.output - 1, job.number, engine, job))
        self._admit(engine)
        return job

    def _leave(self, engine: Engine, job: Job, now_s: float) -> Job:
        engine.decoding -= 1
        engine.context_tokens = engine.context_tokens - job.tokens + 1 if engine.decoding else 0.0
        engine.admitted.discard(job)
        engine.held_tokens -= job.tokens
        engine.cache.insert(job.turn.whole_chain)
        job.ended_s = now_s + self.round_trip_s
        self._admit(engine)
        return job
