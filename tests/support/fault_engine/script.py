"""Answers that a test wrote down: thoughts, words and tool calls, instead of the fault engine's own words."""

import json
from dataclasses import dataclass, field
from typing import Any

PIECES = 3  # that arguments of a call come in, as engines send them


@dataclass
class Turn:
    """One answer. A call is (name, arguments)."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.tool_calls else "stop"

    @property
    def tokens(self) -> int:
        calls = sum(len(json.dumps(arguments).split()) for _, arguments in self.tool_calls)
        return len(self.content.split()) + len(self.reasoning.split()) + calls

    def message(self, dialect: str) -> dict[str, Any]:
        """Whole."""
        said: dict[str, Any] = {"role": "assistant", "content": self.content or None, "refusal": None}
        if self.reasoning:
            said[thought(dialect)] = self.reasoning
        if self.tool_calls:
            said["tool_calls"] = [
                {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
                for at, (name, arguments) in enumerate(self.tool_calls)
            ]
        return said

    def deltas(self, dialect: str) -> list[dict[str, Any]]:
        """In pieces: a word at a time, and calls as this engine streams them: mlx-lm each at once."""
        found: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
        found += [{thought(dialect): word} for word in _words(self.reasoning)]
        found += [{"content": word} for word in _words(self.content)]
        for at, (name, arguments) in enumerate(self.tool_calls):
            text = json.dumps(arguments)
            begun = {"index": at, "id": f"call_{at}", "type": "function"}
            if dialect == "mlx":
                found.append({"tool_calls": [{**begun, "function": {"name": name, "arguments": text}}]})
                continue
            found.append({"tool_calls": [{**begun, "function": {"name": name, "arguments": ""}}]})
            step = max(1, -(-len(text) // PIECES))
            for begin in range(0, len(text), step):
                piece = {"index": at, "function": {"arguments": text[begin : begin + step]}}
                found.append({"tool_calls": [piece]})
        return found


def turns_in(body: bytes) -> list[Turn]:
    """Raises ValueError or TypeError for what is no list of turns."""
    return [
        Turn(
            turn.get("content", ""),
            turn.get("reasoning", ""),
            [(name, args) for name, args in turn.get("tool_calls", ())],
        )
        for turn in json.loads(body)
    ]


def thought(dialect: str) -> str:
    return "reasoning_content" if dialect == "llamacpp" else "reasoning"


def _words(text: str) -> list[str]:
    """Each with the space before it."""
    return [word if not at else " " + word for at, word in enumerate(text.split(" "))] if text else []
