"""The items of a response while an engine says them: each opens, goes on and closes by events of its own."""

from collections.abc import Mapping, Sequence

import msgspec

from cluster.knowledge import FoundPassage
from router.citations import Citation, citations, locator_of
from router.dialects.responses_answer import (
    AnnotationAdded,
    ArgumentsDelta,
    ArgumentsDone,
    CallItem,
    Event,
    FileCitation,
    FileSearchItem,
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
    SearchBegun,
    SearchDone,
    SearchResult,
    SearchUnderWay,
    SummaryAdded,
    SummaryDelta,
    SummaryDone,
    SummaryFinished,
    SummaryPart,
    TextDelta,
    TextDone,
)
from router.file_search import Searched

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


class Search(Said):
    """What was found in documents before the model was asked: it is over when it is told."""

    __slots__ = ("_searched",)

    def __init__(self, item_id: str, at: int, searched: Searched) -> None:
        super().__init__(item_id, at)
        self._searched = searched

    def item(self, status: ItemStatus) -> FileSearchItem:
        over, tool = status != "in_progress", self._searched.by_tool
        queries = [self._searched.question] if over else []
        results = _results(self._searched.passages) if over and tool is not None and tool.results else None
        return FileSearchItem(self._id, "completed" if over else "in_progress", queries, results)

    def opening(self) -> list[Event]:
        return [*super().opening(), SearchBegun(self._id, self._at), SearchUnderWay(self._id, self._at)]

    def _closing(self) -> list[Event]:
        return [SearchDone(self._id, self._at)]


class Words(Said):
    """A message, with the passages that it was written from."""

    __slots__ = ("_logprobs", "_passages")

    def __init__(self, item_id: str, at: int, passages: Sequence[FoundPassage] = ()) -> None:
        super().__init__(item_id, at)
        self._logprobs: list[Logprob] = []
        self._passages = passages

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
        cited = [AnnotationAdded(self._id, self._at, one, number) for number, one in enumerate(part.annotations)]
        return [*cited, TextDone(self._id, self._at, part.text, part.logprobs), PartDone(self._id, self._at, part)]

    def _part(self) -> OutputTextPart:
        text = "".join(self._pieces)
        cited = [_file_citation(one) for one in citations(text, self._passages)] if self._passages else []
        return OutputTextPart(text, cited, self._logprobs)


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


def _file_citation(citation: Citation) -> FileCitation:
    one = citation.passage
    return FileCitation(one.file_id, one.name, citation.start, one.store_id, one.version, str(locator_of(one)))


def _results(passages: Sequence[FoundPassage]) -> list[SearchResult]:
    """One for each passage, as the model read it."""
    return [
        SearchResult(
            passage.file_id,
            passage.name,
            max((chunk.score for chunk in passage.chunks), default=0.0),
            "\n\n".join(chunk.text for chunk in passage.chunks),
            dict(passage.chunks[0].attributes) if passage.chunks else {},
        )
        for passage in passages
    ]
