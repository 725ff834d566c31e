"""What the fault engine made for each request, as `GET /answers` tells it: the truth that others are measured by."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

BLOCK_WORDS = 64  # of what an engine keeps


@dataclass
class Answer:
    """What it broke off with is what it had made by then."""

    prompt: int
    cached: int
    choices: int
    tokens: int = 0  # of all choices
    reasoning: int = 0
    ended: str = "running"  # "finished", "cancelled"

    def made(self, reasoning: bool) -> None:
        """One token more of every choice."""
        self.tokens += self.choices
        self.reasoning += self.choices * reasoning


@dataclass
class Answers:
    """Under the ids that requests came with."""

    of: dict[str, Answer] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)
    _beginnings: set[str] = field(default_factory=set)

    def begin(self, request_id: str, prompt: str, choices: int) -> Answer:
        """A prompt that was read before is cached, but for its last word; of another one, the blocks that it shares."""
        words = prompt.split()
        shared = sum(1 for _ in takewhile(self._beginnings.__contains__, _blocks(words))) * BLOCK_WORDS
        cached = max(0, len(words) - 1) if prompt in self._read else min(shared, max(0, len(words) - 1))
        answer = self.of[request_id] = Answer(len(words), cached, choices)
        return answer

    def read(self, prompt: str) -> None:
        self._read.add(prompt)
        self._beginnings.update(_blocks(prompt.split()))


def _blocks(words: list[str]) -> Iterator[str]:
    """Each stands for all before it."""
    hashed = hashlib.sha256()
    for end in range(BLOCK_WORDS, len(words) + 1, BLOCK_WORDS):
        hashed.update(" ".join(words[end - BLOCK_WORDS : end]).encode())
        yield hashed.hexdigest()
