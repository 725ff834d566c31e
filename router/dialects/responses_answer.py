"""What POST /v1/responses answers: the response object, its items, and the events that tell how it comes to be."""

from typing import Literal

import msgspec

ItemStatus = Literal["in_progress", "completed", "incomplete"]
Status = Literal["in_progress", "completed", "incomplete", "failed"]


class TopLogprob(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int]


class Logprob(TopLogprob, frozen=True):
    top_logprobs: list[TopLogprob]


class FileCitation(msgspec.Struct, frozen=True, tag_field="type", tag="file_citation"):
    """`index` is where the text cites it. The last three are potluck's own: which store, which version of the file, and
    where in it."""

    file_id: str
    filename: str
    index: int
    store_id: str
    version: int
    locator: str


class OutputTextPart(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    text: str
    annotations: list[FileCitation] = []
    logprobs: list[Logprob] = []


class SummaryPart(msgspec.Struct, frozen=True, tag_field="type", tag="summary_text"):
    text: str


class MessageItem(msgspec.Struct, frozen=True, tag_field="type", tag="message"):
    id: str
    status: ItemStatus
    content: list[OutputTextPart]
    role: Literal["assistant"] = "assistant"


class ReasoningItem(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    id: str
    status: ItemStatus
    summary: list[SummaryPart]


class CallItem(msgspec.Struct, frozen=True, tag_field="type", tag="function_call"):
    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str
    namespace: str | msgspec.UnsetType = msgspec.UNSET


class SearchResult(msgspec.Struct, frozen=True):
    file_id: str
    filename: str
    score: float
    text: str
    attributes: dict[str, str | float | bool]


class FileSearchItem(msgspec.Struct, frozen=True, tag_field="type", tag="file_search_call"):
    """`results` only where the client asked for them."""

    id: str
    status: Literal["in_progress", "completed"]
    queries: list[str]
    results: list[SearchResult] | None = None


OutputItem = MessageItem | ReasoningItem | CallItem | FileSearchItem


class ToolSaid(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    name: str
    description: str | None
    parameters: dict[str, object] | None
    strict: bool | None


class NamespaceSaid(msgspec.Struct, frozen=True, tag_field="type", tag="namespace"):
    name: str
    description: str
    tools: list[ToolSaid]


class HybridSaid(msgspec.Struct, frozen=True):
    embedding_weight: float
    text_weight: float


class RankingSaid(msgspec.Struct, frozen=True):
    ranker: str
    score_threshold: float
    hybrid_search: HybridSaid | msgspec.UnsetType = msgspec.UNSET


class FileSearchSaid(msgspec.Struct, frozen=True, tag_field="type", tag="file_search"):
    vector_store_ids: list[str]
    max_num_results: int
    filters: dict[str, object] | None
    ranking_options: RankingSaid


class FileSearchChosen(msgspec.Struct, frozen=True, tag_field="type", tag="file_search"):
    pass


class NamedSaid(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    name: str


class AllowedSaid(msgspec.Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: list[NamedSaid | FileSearchChosen]


ChoiceSaid = Literal["none", "auto", "required"] | NamedSaid | FileSearchChosen | AllowedSaid


class TextSaid(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    pass


class JsonSaid(msgspec.Struct, frozen=True, tag_field="type", tag="json_object"):
    pass


class SchemaSaid(msgspec.Struct, frozen=True, tag_field="type", tag="json_schema"):
    name: str
    schema: dict[str, object]
    strict: bool
    description: str | msgspec.UnsetType = msgspec.UNSET


class TextSettings(msgspec.Struct, frozen=True):
    format: TextSaid | JsonSaid | SchemaSaid
    verbosity: Literal["low", "medium", "high"] = "medium"


class ReasoningSettings(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None


class InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int
    cache_write_tokens: int = 0  # clients insist on it; no engine here counts what it writes to a cache


class OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int


class Usage(msgspec.Struct, frozen=True):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseError(msgspec.Struct, frozen=True):
    """`code` is one of those that clients know; `type` is the gateway's own."""

    code: str
    message: str
    type: str
    param: str | None


class Incomplete(msgspec.Struct, frozen=True):
    reason: Literal["max_output_tokens", "content_filter"]


class Response(msgspec.Struct, frozen=True):
    """At one moment. Beside what became of it, it says again what was asked for."""

    id: str
    created_at: int
    model: str
    status: Status
    output: list[OutputItem]
    tools: list[ToolSaid | NamespaceSaid | FileSearchSaid]
    tool_choice: ChoiceSaid
    parallel_tool_calls: bool
    text: TextSettings
    reasoning: ReasoningSettings
    metadata: dict[str, str]
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    user: str | msgspec.UnsetType = msgspec.UNSET
    completed_at: int | None = None
    error: ResponseError | None = None
    incomplete_details: Incomplete | None = None
    usage: Usage | None = None
    previous_response_id: None = None
    store: Literal[False] = False
    background: Literal[False] = False
    truncation: Literal["disabled"] = "disabled"
    service_tier: Literal["default"] = "default"
    object: Literal["response"] = "response"


class _Event(msgspec.Struct, kw_only=True):
    sequence_number: int = 0  # set when it is told


class Created(_Event, tag_field="type", tag="response.created"):
    response: Response


class InProgress(_Event, tag_field="type", tag="response.in_progress"):
    response: Response


class Completed(_Event, tag_field="type", tag="response.completed"):
    response: Response


class EndedEarly(_Event, tag_field="type", tag="response.incomplete"):
    response: Response


class Failed(_Event, tag_field="type", tag="response.failed"):
    response: Response


class ItemAdded(_Event, tag_field="type", tag="response.output_item.added"):
    output_index: int
    item: OutputItem


class ItemDone(_Event, tag_field="type", tag="response.output_item.done"):
    output_index: int
    item: OutputItem


class _OfItem(_Event):
    item_id: str
    output_index: int


class PartAdded(_OfItem, tag_field="type", tag="response.content_part.added"):
    part: OutputTextPart
    content_index: int = 0


class PartDone(_OfItem, tag_field="type", tag="response.content_part.done"):
    part: OutputTextPart
    content_index: int = 0


class TextDelta(_OfItem, tag_field="type", tag="response.output_text.delta"):
    delta: str
    logprobs: list[Logprob]
    content_index: int = 0


class TextDone(_OfItem, tag_field="type", tag="response.output_text.done"):
    text: str
    logprobs: list[Logprob]
    content_index: int = 0


class AnnotationAdded(_OfItem, tag_field="type", tag="response.output_text.annotation.added"):
    annotation: FileCitation
    annotation_index: int
    content_index: int = 0


class SearchBegun(_OfItem, tag_field="type", tag="response.file_search_call.in_progress"):
    pass


class SearchUnderWay(_OfItem, tag_field="type", tag="response.file_search_call.searching"):
    pass


class SearchDone(_OfItem, tag_field="type", tag="response.file_search_call.completed"):
    pass


class SummaryAdded(_OfItem, tag_field="type", tag="response.reasoning_summary_part.added"):
    part: SummaryPart
    summary_index: int = 0


class SummaryFinished(_OfItem, tag_field="type", tag="response.reasoning_summary_part.done"):
    part: SummaryPart
    summary_index: int = 0


class SummaryDelta(_OfItem, tag_field="type", tag="response.reasoning_summary_text.delta"):
    delta: str
    summary_index: int = 0


class SummaryDone(_OfItem, tag_field="type", tag="response.reasoning_summary_text.done"):
    text: str
    summary_index: int = 0


class ArgumentsDelta(_OfItem, tag_field="type", tag="response.function_call_arguments.delta"):
    delta: str


class ArgumentsDone(_OfItem, tag_field="type", tag="response.function_call_arguments.done"):
    name: str
    arguments: str


Event = (
    Created | InProgress | Completed | EndedEarly | Failed | ItemAdded | ItemDone | PartAdded | PartDone | TextDelta
    | TextDone | AnnotationAdded | SearchBegun | SearchUnderWay | SearchDone | SummaryAdded | SummaryFinished
    | SummaryDelta | SummaryDone | ArgumentsDelta | ArgumentsDone
)  # fmt: skip
