"""Synthetic sessions: chat, questions about documents, coding agents, and a bursty mix. Same seed, same requests."""

from collections.abc import Callable, Iterator
from itertools import accumulate, count
from math import log
from random import Random

from bench.routing.load import Session, Turn, Workload

BLOCK_TOKENS = 256
NOISE = 0.1  # of a prefill: the standard deviation of its logarithm
MODELS = (("30b", 0.7), ("8b", 0.2), ("70b", 0.1))
DURATION_S = 7200.0


class Blocks:
    """Numbers for blocks of text. What is shared is drawn once, what is a session's own never again."""

    def __init__(self) -> None:
        self._next = count()
        self._shared: dict[tuple[str, int], list[int]] = {}

    def shared(self, name: str, number: int, tokens: int) -> list[int]:
        """Whole blocks of a text that several sessions begin with."""
        blocks = self._shared.setdefault((name, number), [])
        while len(blocks) < tokens // BLOCK_TOKENS:
            blocks.append(next(self._next))
        return blocks[: tokens // BLOCK_TOKENS]

    def extended(self, chain: list[int], tokens: int) -> list[int]:
        return chain + [next(self._next) for _ in range(tokens // BLOCK_TOKENS - len(chain))]


def _size(random: Random, median: float, sigma: float, least: int, most: int) -> int:
    return min(max(int(random.lognormvariate(log(median), sigma)), least), most)


class Writer:
    """Makes sessions of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.blocks = Blocks()
        self._systems = [self.random.randint(600, 2000) for _ in range(5)]
        self._documents = [self.random.randint(4_000, 24_000) for _ in range(150)]
        self._popular = list(accumulate(1.0 / (rank + 1) ** 0.9 for rank in range(150)))
        self._names = count()

    def chat(self, start_s: float, models: tuple[tuple[str, float], ...] = MODELS, user: str = "user") -> Session:
        random = self.random
        names, weights = zip(*models, strict=True)
        model = random.choices(names, weights)[0]
        system = random.randrange(5)
        context = self._systems[system]
        chain = self.blocks.shared(f"system {model}", system, context)
        turns, more = [], 1 + min(int(random.expovariate(1 / 5.0)), 20)
        for _ in range(more):
            pasted = _size(random, 1500, 0.6, 300, 6000) if random.random() < 0.08 else 0
            asked = _size(random, 60, 0.8, 8, 800) + pasted
            turn, context, chain = self._turn(context + asked, _size(random, 200, 0.7, 8, 1200), chain,
                                              random.expovariate(1 / 15.0) + 2.0)  # fmt: skip
            turns.append(turn)
        return Session(start_s, model, "chat", tuple(turns), f"chat-{next(self._names)}", user)

    def rag(self, start_s: float, user: str = "user") -> Session:
        random = self.random
        document = random.choices(range(150), cum_weights=self._popular)[0]
        shared = 300 + self._documents[document]
        chain = self.blocks.shared("document", document, shared)
        asked = _size(random, 60, 0.6, 8, 400)
        turn, _, _ = self._turn(shared + asked, _size(random, 180, 0.6, 16, 800), chain, 0.0)
        return Session(start_s, "30b", "rag", (turn,), None, user)

    def document(self, start_s: float, tokens: int, user: str) -> Session:
        """A question about a text of its own."""
        turn, _, _ = self._turn(tokens, _size(self.random, 180, 0.6, 16, 800), [], 0.0)
        return Session(start_s, "30b", "rag", (turn,), None, user)

    def agent(self, start_s: float, user: str = "user") -> Session:
        random = self.random
        context, chain = 9_000, self.blocks.shared("tools", 0, 9_000)
        turns: list[Turn] = []
        for _ in range(max(int(random.gauss(18, 6)), 3)):
            found = _size(random, 1200, 0.8, 60, 8_000)
            if context + found > 59_000:
                break
            turn, context, chain = self._turn(context + found, _size(random, 160, 0.8, 16, 1500), chain,
                                              3.0 if turns else 0.0)  # fmt: skip
            turns.append(turn)
        return Session(start_s, "30b", "agent", tuple(turns), f"agent-{next(self._names)}", user)

    def _turn(self, prompt: int, output: int, chain: list[int], after_s: float) -> tuple[Turn, int, list[int]]:
        chain = self.blocks.extended(chain, prompt)
        whole = self.blocks.extended(chain, prompt + output)
        noise = self.random.lognormvariate(0.0, NOISE)
        return Turn(prompt, output, tuple(chain), tuple(whole), after_s, noise), prompt + output, whole


def starts(random: Random, per_s: float, duration_s: float, variation: float = 1.0) -> Iterator[float]:
    """Arrivals; a coefficient of variation above 1 makes them come in bursts."""
    shape = 1.0 / variation**2
    at_s = 0.0
    while (at_s := at_s + random.gammavariate(shape, 1.0 / (per_s * shape))) < duration_s:
        yield at_s


def _mixed(writer: Writer, start_s: float) -> Session:
    kind = writer.random.random()
    if kind < 0.6:
        return writer.chat(start_s)
    return writer.rag(start_s) if kind < 0.9 else writer.agent(start_s)


# Sessions a second on fleet f1, and how bursty they come.
_KINDS: dict[str, tuple[Callable[[Writer, float], Session], float, float]] = {
    "chat": (Writer.chat, 0.10, 1.0),
    "rag": (Writer.rag, 0.20, 1.0),
    "agent": (Writer.agent, 0.016, 1.0),
    "mixed": (_mixed, 0.06, 3.0),
}
NAMES = tuple(_KINDS)


def synthetic(name: str, seed: int, scale: float = 1.0, duration_s: float = DURATION_S) -> Workload:
    make, per_s, variation = _KINDS[name]
    writer = Writer(seed)
    sessions = tuple(make(writer, at_s) for at_s in starts(writer.random, per_s * scale, duration_s, variation))
    return Workload(name, sessions, BLOCK_TOKENS)
