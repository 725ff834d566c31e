"""The items of a Responses request as messages of a chat: turns, thoughts, calls and what tools gave back."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta

from router.dialects.chat_messages import FunctionCall, ImagePart, ImageUrl, Message, Part, TextPart, ToolCall
from router.dialects.common import Closed, Dropped, Label
from router.errors import ApiError, invalid

MARKED = "<developer>\n{}\n</developer>"  # what a client says as developer when the conversation is under way


class InputText(Closed, tag_field="type", tag="input_text"):
    text: str


class OutputText(Closed, tag_field="type", tag="output_text"):
    text: str
    annotations: Dropped = None
    logprobs: Dropped = None


class Refusal(Closed, tag_field="type", tag="refusal"):
    refusal: str


class InputImage(Closed, tag_field="type", tag="input_image"):
    image_url: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_id: Dropped = None


class InputFile(Closed, tag_field="type", tag="input_file"):
    filename: Dropped = None
    file_data: Dropped = None
    file_id: Dropped = None
    file_url: Dropped = None
    detail: Dropped = None


class ReasoningText(Closed, tag_field="type", tag="reasoning_text"):
    text: str


class SummaryText(Closed, tag_field="type", tag="summary_text"):
    text: str


Content = InputText | OutputText | Refusal | InputImage | InputFile | ReasoningText
Kind = Literal["message", "function_call", "function_call_output", "reasoning", "file_search_call", "item_reference"]
Called = Annotated[str, Meta(max_length=128)]
"""A function as a model called it, which may be one that nobody offered."""


class Item(Closed):
    """Of any kind, with the fields of its kind only (`_FIELDS`). A message need not say that it is one, which no tagged
    union can express."""

    type: Kind | None = None
    id: Label | None = None
    status: Label | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[Content] | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    call_id: Label | None = None
    name: Called | None = None
    namespace: Called | None = None
    arguments: str | None = None
    output: str | list[Content] | None = None
    summary: list[SummaryText] | None = None
    queries: Dropped = None
    results: Dropped = None
    encrypted_content: str | None = None  # some other server's, and readable to that one alone


_FIELDS: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
        "message": frozenset({"type", "id", "status", "role", "content", "phase"}),
        "function_call": frozenset({"type", "id", "status", "call_id", "name", "namespace", "arguments"}),
        "function_call_output": frozenset({"type", "id", "status", "call_id", "name", "namespace", "output"}),
        "reasoning": frozenset({"type", "id", "status", "summary", "content", "encrypted_content"}),
        "file_search_call": frozenset({"type", "id", "status", "queries", "results"}),
        "item_reference": frozenset({"type", "id"}),
    }
)


def full_name(namespace: str | None, name: str) -> str:
    """Of a tool, as engines know it: they have no namespaces."""
    return name if namespace is None else f"{namespace.removesuffix('__')}__{name}"


def chat_messages(instructions: str | None, items: str | Sequence[Item]) -> list[Message]:
    """Raises ApiError 400 that names an item which cannot be told to an engine.

    What system and developer say before anybody else becomes the one system message that templates of open models
    know; what they say later, a marked message of the user's side.
    """
    conversation = _Conversation([instructions] if instructions else [])
    if isinstance(items, str):
        conversation.say(Message("user", items))
    else:
        for index, item in enumerate(items):
            conversation.take(item, f"input[{index}]")
    return conversation.messages()


class _Conversation:
    """Puts together what belongs to one message: all that the assistant thought, said and called before somebody else
    spoke is one turn of it."""

    def __init__(self, opening: list[str]) -> None:
        self._opening, self._messages = opening, list[Message]()
        self._thoughts, self._texts, self._calls = list[str](), list[str](), list[ToolCall]()
        self._shown: list[Part] = []  # images that tools gave back: they follow the results, which are texts

    def messages(self) -> list[Message]:
        self._end_turn()
        self._show()
        opening = [Message("system", "\n\n".join(self._opening))] if self._opening else []
        return opening + self._messages

    def say(self, message: Message) -> None:
        self._end_turn()
        self._show()
        self._messages.append(message)

    def take(self, item: Item, param: str) -> None:
        kind = _kind_of(item, param)
        if kind == "message":
            self._take_message(item, param)
        elif kind == "function_call":
            self._show()
            name = full_name(item.namespace, _needed(item.name, f"{param}.name"))
            call = FunctionCall(name, _needed(item.arguments, f"{param}.arguments"))
            self._calls.append(ToolCall(_needed(item.call_id, f"{param}.call_id"), call))
        elif kind == "function_call_output":
            self._take_output(item, param)
        elif kind == "reasoning":
            self._show()
            thoughts = [part for part in item.content or () if isinstance(part, ReasoningText)]
            self._thoughts += [part.text for part in (*(item.summary or ()), *thoughts)]
        elif kind == "file_search_call":
            pass  # what it found was for the answer that came back with it; the next question has its own
        else:
            raise invalid("nothing is stored here: send the item itself, not a reference to it", param)

    def _take_message(self, item: Item, param: str) -> None:
        content, param = item.content, f"{param}.content"
        if content is None:
            raise _missing(param)
        if item.role == "assistant":
            self._show()
            self._texts.append(_text(content, param))
        elif item.role == "user":
            self.say(Message("user", _content(content, param)))
        elif self._messages or self._texts or self._calls:
            self.say(Message("user", MARKED.format(_text(content, param))))
        else:
            self._opening.append(_text(content, param))

    def _take_output(self, item: Item, param: str) -> None:
        self._end_turn()
        call_id = _needed(item.call_id, f"{param}.call_id")
        if item.output is None:
            raise _missing(f"{param}.output")
        content = _content(item.output, f"{param}.output")
        if isinstance(content, list):
            self._shown.extend(part for part in content if not isinstance(part, TextPart))
            content = "\n".join(part.text for part in content if isinstance(part, TextPart))
        self._messages.append(Message("tool", content, tool_call_id=call_id))

    def _end_turn(self) -> None:
        """Thoughts without a word or a call after them are nobody's turn."""
        if self._texts or self._calls:
            self._messages.append(
                Message(
                    "assistant",
                    "\n".join(self._texts) if self._texts else None,
                    tool_calls=self._calls or None,
                    reasoning_content="\n".join(filter(None, self._thoughts)) or None,
                )
            )
        self._thoughts, self._texts, self._calls = [], [], []

    def _show(self) -> None:
        if self._shown:
            self._messages.append(Message("user", self._shown))
            self._shown = []


def _kind_of(item: Item, param: str) -> Kind:
    kind: Kind = item.type or "message"
    for field in item.__struct_fields__:
        if field not in _FIELDS[kind] and getattr(item, field) is not None:
            raise invalid(f"an item of type {kind} has no `{field}`", f"{param}.{field}", "unknown_field")
    if kind == "message":
        _needed(item.role, f"{param}.role")
    return kind


def _needed(value: str | None, param: str) -> str:
    if value is None:
        raise _missing(param)
    return value


def _missing(param: str) -> ApiError:
    return invalid(f"`{param}` is missing", param)


def _text(content: str | Iterable[Content], param: str) -> str:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for at, part in enumerate(content):
        match part:
            case InputText() | OutputText():
                texts.append(part.text)
            case Refusal():
                texts.append(part.refusal)
            case _:
                raise invalid("only a user's message holds anything but text", f"{param}[{at}]")
    return "\n".join(texts)


def _content(content: str | Sequence[Content], param: str) -> str | list[Part]:
    """Texts alone as one text, which every template can read."""
    if isinstance(content, str) or not any(isinstance(part, InputImage | InputFile) for part in content):
        return _text(content, param)
    return [_part(part, f"{param}[{at}]") for at, part in enumerate(content)]


def _part(part: Content, param: str) -> Part:
    if isinstance(part, InputFile):
        raise invalid("files are not read here; send their text as `input_text`", param)
    if not isinstance(part, InputImage):
        return TextPart(_text((part,), param))
    if part.image_url is None or not part.image_url.startswith("data:image/"):
        raise invalid("only data: URLs are accepted; nothing is ever fetched", f"{param}.image_url")
    return ImagePart(ImageUrl(part.image_url, "high" if part.detail == "original" else part.detail))
