"""How others choose, from their source and papers. Each sees what it would see: counts of its own, or engines' metrics.

Metrics are as old as the scrape: `Scraped` tells what an engine said when it was asked last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from bench.routing.load import Job
from bench.routing.machine import Engine
from router.cost import Terms
from router.policies import depth_of, headroom_of, least_requests, power_of_two, round_robin
from router.prefix_index import PrefixIndex


@dataclass(frozen=True, slots=True)
class Said:
    """By an engine, of itself."""

    running: int
    waiting: int
    cache_used: float  # 0 to 1
    read_tokens: int  # of prompts that it has to read


class Scraped:
    """What engines said when they were asked last, every `every_s`; 0 is at this moment."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._said: dict[str, tuple[float, Said]] = {}

    def of(self, engine: Engine, now_s: float) -> Said:
        known = self._said.get(engine.name)
        if known is not None and now_s - known[0] < self._every_s:
            return known[1]
        reading = sum(1 for job in engine.admitted if job.first_s == 0.0)
        said = Said(
            len(engine.admitted) - reading,
            len(engine.waiting) + reading,
            min(engine.held_tokens / engine.spec.cache_tokens, 1.0),
            sum(job.prompt for job in engine.unread),
        )
        at_s = now_s - now_s % self._every_s if self._every_s else now_s
        self._said[engine.name] = at_s, said
        return said


class Simple:
    """Told of events, and forgets them."""

    def dispatched(self, job: Job, engine: Engine, now_s: float) -> None:
        return

    def first_token(self, job: Job, engine: Engine, now_s: float) -> None:
        return

    def ended(self, job: Job, engine: Engine, now_s: float) -> None:
        return


class Chance(Simple):
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        return self._random.choice(engines)


def first_by(engines: list[Engine], terms_of: Callable[[int, Engine], Terms]) -> Engine:
    """The least sum, by the gateway's own terms; of equals the first."""
    sums = [sum(value for _, value in terms_of(place, engine)) for place, engine in enumerate(engines)]
    return engines[sums.index(min(sums))]


class RoundRobin(Simple):
    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        self._turns[job.model] = turn = self._turns.get(job.model, -1) + 1
        return first_by(engines, lambda place, engine: round_robin(turn, place, len(engines)))


class LeastRequests(Simple):
    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        return first_by(engines, lambda place, engine: least_requests(len(engine.in_flight)))


class TwoChoices(Simple):
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        drawn = self._random.sample(range(len(engines)), min(2, len(engines)))
        return first_by(
            engines, lambda place, engine: power_of_two(len(engine.in_flight), place, (drawn[0], drawn[-1]))
        )


class Least(Simple):
    """The engine of which a figure is least."""

    def __init__(self, figure: Callable[[Job, Engine, float], float]) -> None:
        self._figure = figure

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        return min(engines, key=lambda engine: self._figure(job, engine, now_s))


class WithPrefixes(Simple):
    """Keeps an index of prompts by engine, each as large as that engine's cache."""

    def __init__(self) -> None:
        self.indexes: dict[str, PrefixIndex] = {}

    def index(self, engine: Engine) -> PrefixIndex:
        found = self.indexes.get(engine.name)
        if found is None:
            found = PrefixIndex(engine.spec.cache_tokens, engine.block_tokens, 1.0)
            self.indexes[engine.name] = found
        return found

    def matched(self, job: Job, engine: Engine) -> int:
        return min(self.index(engine).match(job.turn.prompt_chain), job.prompt - 1)

    def dispatched(self, job: Job, engine: Engine, now_s: float) -> None:
        index = self.index(engine)
        job.notes["uncached"] = job.prompt - min(index.match(job.turn.prompt_chain), job.prompt - 1)
        index.insert(job.turn.prompt_chain)

    def unread_tokens(self, engine: Engine) -> int:
        """Uncached tokens of prompts in flight that have no first token."""
        return sum(_uncached(job) for job in engine.unread)


def _uncached(job: Job) -> int:
    known = job.notes.get("uncached", job.prompt)
    return known if isinstance(known, int) else job.prompt


class CacheAware(WithPrefixes):
    """sglang's and smg's gateway: the longest match over a threshold, unless counts are far apart."""

    def __init__(self, threshold: float, absolute: int, relative: float) -> None:
        super().__init__()
        self._threshold, self._absolute, self._relative = threshold, absolute, relative

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        counts = [len(engine.in_flight) for engine in engines]
        least = engines[counts.index(min(counts))]
        if max(counts) - min(counts) > self._absolute and max(counts) > self._relative * min(counts):
            return least
        best = max(engines, key=lambda engine: self.matched(job, engine))
        return best if self.matched(job, best) / job.prompt > self._threshold else least


Score = tuple[float, Callable[[Job, Engine, float], float]]  # weight and figure, of which a large one is good


class Weighted(WithPrefixes):
    """Normalised scores with weights: the highest sum wins."""

    def __init__(self, seed: int, scrape_s: float, make: Callable[["Weighted"], tuple[Score, ...]]) -> None:
        super().__init__()
        self.scraped, self._random = Scraped(scrape_s), Random(seed)
        self.least_waiting = self.most_waiting = self.most_active = 0
        self._scores = make(self)

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        waiting = [self.scraped.of(engine, now_s).waiting for engine in engines]
        self.least_waiting, self.most_waiting = min(waiting), max(waiting)
        self.most_active = max(len(engine.in_flight) for engine in engines)
        totals = [sum(weight * figure(job, engine, now_s) for weight, figure in self._scores) for engine in engines]
        best = max(totals)
        tied = [engine for engine, total in zip(engines, totals, strict=True) if total >= best - 1e-9]
        return self._random.choice(tied)

    def queue(self, job: Job, engine: Engine, now_s: float) -> float:
        if self.most_waiting == self.least_waiting:
            return 1.0
        waiting = self.scraped.of(engine, now_s).waiting
        return (self.most_waiting - waiting) / (self.most_waiting - self.least_waiting)

    def cache(self, job: Job, engine: Engine, now_s: float) -> float:
        return 1.0 - self.scraped.of(engine, now_s).cache_used

    def prefix(self, job: Job, engine: Engine, now_s: float) -> float:
        return self.matched(job, engine) / job.prompt

    def active(self, job: Job, engine: Engine, now_s: float) -> float:
        return 1.0 - len(engine.in_flight) / self.most_active if self.most_active else 1.0

    def tokens(self, job: Job, engine: Engine, now_s: float) -> float:
        return 1.0 - min(1.0, self.unread_tokens(engine) / 4_194_304)

    def depth(self, job: Job, engine: Engine, now_s: float) -> float:
        said = self.scraped.of(engine, now_s)
        return depth_of(said.running + said.waiting)

    def headroom(self, job: Job, engine: Engine, now_s: float) -> float:
        """Free memory for its cache, against the largest in the fleet."""
        return headroom_of(self.scraped.of(engine, now_s).cache_used, engine.spec.cache_tokens)


class LMetric(WithPrefixes):
    """Tokens to read times requests, with no weight to tune; `by_rate` divides by what an engine reads in a second."""

    def __init__(self, by_rate: bool = False) -> None:
        super().__init__()
        self._by_rate = by_rate

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        return min(engines, key=lambda engine: self._product(job, engine))

    def _product(self, job: Job, engine: Engine) -> float:
        unread = self.unread_tokens(engine) + job.prompt - self.matched(job, engine)
        rate = engine.spec.prefill if self._by_rate else 1.0
        return unread / rate * (len(engine.in_flight) + 1)


class Dynamo(WithPrefixes):
    """Blocks to read plus blocks in use by requests that decode."""

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        return min(engines, key=lambda engine: self._cost(job, engine))

    def _cost(self, job: Job, engine: Engine) -> float:
        decoding = sum(other.tokens for other in engine.in_flight if other not in engine.unread)
        read = self.unread_tokens(engine) + job.prompt - self.matched(job, engine)
        return (max(read, 0) + decoding) / 64


class LeastLoad(Simple):
    """smg's: tokens that wait over a rate that it believes in, and how full the cache is."""

    def __init__(self, scrape_s: float) -> None:
        self._scraped = Scraped(scrape_s)

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        return min(engines, key=lambda engine: self._load(engine, now_s))

    def _load(self, engine: Engine, now_s: float) -> float:
        said = self._scraped.of(engine, now_s)
        used = min(said.cache_used, 0.99)
        return sum(job.prompt for job in engine.unread) / 2000.0 + 0.15 * used / (1.0 - used)


class LiteLatency(Simple):
    """litellm's latency-based routing: the mean of its list of seconds per token, which fills once."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._samples: dict[str, list[tuple[float, float]]] = {}

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        means = [self._mean(engine, now_s) for engine in engines]
        tied = [engine for engine, mean in zip(engines, means, strict=True) if mean <= min(means)]
        return self._random.choice(tied)

    def first_token(self, job: Job, engine: Engine, now_s: float) -> None:
        samples = [one for one in self._samples.get(engine.name, []) if now_s - one[0] < 3600.0]
        sample = (now_s, (now_s - job.arrived_s) / job.output)
        self._samples[engine.name] = [*samples[:9], sample]

    def _mean(self, engine: Engine, now_s: float) -> float:
        samples = [seconds for at_s, seconds in self._samples.get(engine.name, ()) if now_s - at_s < 3600.0]
        return sum(samples) / len(samples) if samples else 0.0
