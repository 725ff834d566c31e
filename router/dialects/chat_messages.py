"""The messages of a chat request: roles, contents and tool calls as a closed schema."""

from typing import Annotated, Literal

from msgspec import Meta

from router.dialects.common import Closed, Label
from router.errors import invalid


class TextPart(Closed, tag_field="type", tag="text"):
    text: str


class RefusalPart(Closed, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Closed):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Closed, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class Audio(Closed):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Closed, tag_field="type", tag="input_audio"):
    input_audio: Audio


Part = TextPart | RefusalPart | ImagePart | AudioPart


class FunctionCall(Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: str


class ToolCall(Closed, tag_field="type", tag="function"):
    id: Label
    function: FunctionCall
    index: int | None = None


class Message(Closed):
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


def check_messages(messages: list[Message]) -> tuple[int, bool]:
    """Characters of all texts, and whether there is more than text. Raises ApiError 400 naming the message that cannot
    be sent to an engine."""
    characters, media = 0, False
    for index, message in enumerate(messages):
        content = message.content
        if isinstance(content, str):
            characters += len(content)
        elif content is not None:
            characters += sum(_check_part(part, f"messages[{index}].content[{at}]") for at, part in enumerate(content))
            media = media or has_media(message)
        elif message.role != "assistant":
            raise invalid(f"a message of role {message.role} needs content", f"messages[{index}].content")
        if message.role == "tool" and message.tool_call_id is None:
            raise invalid("a message of role tool needs `tool_call_id`", f"messages[{index}].tool_call_id")
        if message.role == "developer":
            message.role = "system"  # the templates of open models know no other name for it
        if message.annotations is not None:  # setting a field costs more than reading it
            message.annotations = None
    return characters, media


def text_of(message: Message) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def has_media(message: Message) -> bool:
    content = message.content
    return isinstance(content, list) and any(isinstance(part, ImagePart | AudioPart) for part in content)


def _check_part(part: Part, param: str) -> int:
    if isinstance(part, TextPart):
        return len(part.text)
    if isinstance(part, ImagePart) and not part.image_url.url.startswith("data:image/"):
        raise invalid("only data: URLs are accepted; nothing is ever fetched", f"{param}.image_url.url")
    return 0
