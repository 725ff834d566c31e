"""The messages of a chat request: roles, contents and tool calls as a closed schema."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.common import Label
from router.errors import invalid


class _Closed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Unknown fields are refused, and what was not said is not said to the engine either."""


class TextPart(_Closed, tag_field="type", tag="text"):
    text: str


class RefusalPart(_Closed, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(_Closed):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_Closed, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class Audio(_Closed):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(_Closed, tag_field="type", tag="input_audio"):
    input_audio: Audio


Part = TextPart | RefusalPart | ImagePart | AudioPart


class FunctionCall(_Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: str


class ToolCall(_Closed):
    id: Label
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | None = None


class Message(_Closed):
    """One turn. Fields that clients copy back from an answer are accepted and dropped."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: Label | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=128)] | None = None
    tool_call_id: Label | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    annotations: list[object] | None = None
    audio: None = None
    function_call: None = None


def check_messages(messages: list[Message]) -> int:
    """Characters of all texts. Raises ApiError 400 naming the message that cannot be sent to an engine."""
    characters = 0
    for index, message in enumerate(messages):
        content = message.content
        if isinstance(content, str):
            characters += len(content)
        elif content is not None:
            characters += sum(_check_part(part, f"messages[{index}].content[{at}]") for at, part in enumerate(content))
        elif message.role != "assistant":
            raise invalid(f"a message of role {message.role} needs content", f"messages[{index}].content")
        if message.role == "tool" and message.tool_call_id is None:
            raise invalid("a message of role tool needs `tool_call_id`", f"messages[{index}].tool_call_id")
        if message.role == "developer":
            message.role = "system"  # the templates of open models know no other name for it
        message.annotations = None
    return characters


def text_of(message: Message) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def _check_part(part: Part, param: str) -> int:
    if isinstance(part, TextPart):
        return len(part.text)
    if isinstance(part, ImagePart) and not part.image_url.url.startswith("data:image/"):
        raise invalid("only data: URLs are accepted; nothing is ever fetched", f"{param}.image_url.url")
    return 0
