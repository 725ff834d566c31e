"""What the fault engine made for each request, as `GET /answers` tells it: the truth that others are measured by."""

from dataclasses import dataclass, field


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

    def begin(self, request_id: str, prompt: str, choices: int) -> Answer:
        """A prompt that was read before is cached, but for its last word."""
        words = len(prompt.split())
        answer = self.of[request_id] = Answer(words, max(0, words - 1) if prompt in self._read else 0, choices)
        return answer

    def read(self, prompt: str) -> None:
        self._read.add(prompt)
