"""The items of a response while an engine says them: each opens, goes on and closes by events of its own."""

from collections.abc import Mapping

import msgspec

from router.dialects.responses_answer import (
    ArgumentsDelta,
    ArgumentsDone,
    CallItem,
    Event,
    ItemAdded,
    ItemDone,
    ItemStatus,
    Logprob,
    MessageItem,
    OutputItem,
    OutputTextPart,
    PartAdded,
    PartDone,
    ReasoningItem,
    SummaryAdded,
    SummaryDelta,
    SummaryDone,
    SummaryFinished,
    SummaryPart,
    TextDelta,
    TextDone,
)

ToolNames = Mapping[str, tuple[str, str]]
"""Of tools in namespaces: what engines call them -> namespace and name."""


class Said:
    """One item, at its place in the output."""

    __slots__ = ("_at", "_id", "_pieces", "closed_as")

    def __init__(self, item_id: str, at: int) -> None:
        self._id, self._at = item_id, at
        self._pieces: list[str] = []
        self.closed_as: ItemStatus | None = None

    def item(self, status: ItemStatus) -> OutputItem:
        raise NotImplementedError

    def opening(self) -> list[Event]:
        return [ItemAdded(self._at, self.item("in_progress"))]

    def close(self, status: ItemStatus) -> list[Event]:
        self.closed_as = status
        return [*self._closing(), ItemDone(self._at, self.item(status))]

    def _closing(self) -> list[Event]:
        raise NotImplementedError


class Words(Said):
    """A message."""

    __slots__ = ("_logprobs",)

    def __init__(self, item_id: str, at: int) -> None:
        super().__init__(item_id, at)
        self._logprobs: list[Logprob] = []

    def item(self, status: ItemStatus) -> MessageItem:
        return MessageItem(self._id, status, [] if status == "in_progress" else [self._part()])

    def opening(self) -> list[Event]:
        return [*super().opening(), PartAdded(self._id, self._at, OutputTextPart(""))]

    def more(self, text: str, logprobs: list[Logprob]) -> Event:
        self._pieces.append(text)
        self._logprobs += logprobs
        return TextDelta(self._id, self._at, text, logprobs)

    def _closing(self) -> list[Event]:
        part = self._part()
        return [TextDone(self._id, self._at, part.text, part.logprobs), PartDone(self._id, self._at, part)]

    def _part(self) -> OutputTextPart:
        return OutputTextPart("".join(self._pieces), logprobs=self._logprobs)


class Thoughts(Said):
    """What a model thought, as the summary of its thoughts: the one form that both specifications and all clients have
    alike."""

    __slots__ = ()

    def item(self, status: ItemStatus) -> ReasoningItem:
        return ReasoningItem(self._id, status, [] if status == "in_progress" else [self._part()])

    def opening(self) -> list[Event]:
        return [*super().opening(), SummaryAdded(self._id, self._at, SummaryPart(""))]

    def more(self, text: str) -> Event:
        self._pieces.append(text)
        return SummaryDelta(self._id, self._at, text)

    def _closing(self) -> list[Event]:
        part = self._part()
        return [SummaryDone(self._id, self._at, part.text), SummaryFinished(self._id, self._at, part)]

    def _part(self) -> SummaryPart:
        return SummaryPart("".join(self._pieces))


class ToolUse(Said):
    """A call of a function."""

    __slots__ = ("_call_id", "_name", "_names")

    def __init__(self, item_id: str, at: int, call_id: str, name: str, names: ToolNames) -> None:
        super().__init__(item_id, at)
        self._call_id, self._name, self._names = call_id, name, names

    def item(self, status: ItemStatus) -> CallItem:
        namespace, name = self._names.get(self._name, (msgspec.UNSET, self._name))
        return CallItem(self._id, status, self._call_id, name, "".join(self._pieces), namespace)

    def more(self, arguments: str) -> Event:
        self._pieces.append(arguments)
        return ArgumentsDelta(self._id, self._at, arguments)

    def _closing(self) -> list[Event]:
        item = self.item("completed")
        return [ArgumentsDone(self._id, self._at, item.name, item.arguments)]
