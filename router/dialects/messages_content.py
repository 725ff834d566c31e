"""The turns of an Anthropic request as messages of a chat: blocks of text, images, thoughts, tool calls and results."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.chat_messages import FunctionCall, ImagePart, ImageUrl, Message, Part, TextPart, ToolCall
from router.dialects.common import Closed, Dropped, JsonObject, Label
from router.errors import invalid

BILLING = "x-anthropic-billing-header:"  # begins a block of Claude Code's that differs with every version and turn
REMINDER = "<system-reminder>\n{}\n</system-reminder>"  # as Claude Code marks what is not the user's own


class TextBlock(Closed, tag_field="type", tag="text"):
    text: str
    cache_control: Dropped = None
    citations: Dropped = None


class Base64Source(Closed, tag_field="type", tag="base64"):
    media_type: Annotated[str, Meta(max_length=64, pattern=r"^image/[a-z0-9.+-]+$")]
    data: str


class UrlSource(Closed, tag_field="type", tag="url"):
    url: str


class FileSource(Closed, tag_field="type", tag="file"):
    file_id: Label


class ImageBlock(Closed, tag_field="type", tag="image"):
    source: Base64Source | UrlSource | FileSource
    cache_control: Dropped = None


class TextSource(Closed, tag_field="type", tag="text"):
    data: str
    media_type: Literal["text/plain"] = "text/plain"


class PdfSource(Closed, tag_field="type", tag="base64"):
    media_type: Label
    data: str


class DocumentBlock(Closed, tag_field="type", tag="document"):
    source: TextSource | PdfSource | UrlSource | FileSource
    title: str | None = None
    context: str | None = None
    citations: Dropped = None
    cache_control: Dropped = None


class ThinkingBlock(Closed, tag_field="type", tag="thinking"):
    thinking: str
    signature: str | None = None  # ours are empty, and nobody checks one


class RedactedBlock(Closed, tag_field="type", tag="redacted_thinking"):
    data: str


class ToolUseBlock(Closed, tag_field="type", tag="tool_use"):
    id: Label
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    input: JsonObject
    cache_control: Dropped = None
    caller: Dropped = None


class ToolResultBlock(Closed, tag_field="type", tag="tool_result"):
    tool_use_id: Label
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: bool | None = None
    cache_control: Dropped = None


Shown = TextBlock | ImageBlock | DocumentBlock
Block = Shown | ThinkingBlock | RedactedBlock | ToolUseBlock | ToolResultBlock


class Turn(Closed):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


def chat_messages(system: str | Sequence[TextBlock] | None, turns: Sequence[Turn]) -> list[Message]:
    """Raises ApiError 400 that names a block which cannot be told to an engine.

    What a client says as the system after the conversation began becomes a marked part of the user's side: templates of
    open models know one system message, the first.
    """
    opening = _system(system)
    messages: list[Message] = []
    for index, turn in enumerate(turns):
        blocks = [TextBlock(turn.content)] if isinstance(turn.content, str) else turn.content
        param = f"messages[{index}].content"
        if turn.role == "assistant":
            messages.append(_assistant(blocks, param))
        elif turn.role == "user":
            messages.extend(_user(blocks, param))
        elif not messages:
            opening += _texts(blocks, param)
        else:
            messages.append(Message("user", REMINDER.format("\n".join(_texts(blocks, param)))))
    return [Message("system", "\n\n".join(opening)), *messages] if opening else messages


def _system(system: str | Sequence[TextBlock] | None) -> list[str]:
    if system is None or isinstance(system, str):
        return [system] if system else []
    return [block.text for block in system if block.text and not block.text.startswith(BILLING)]


def _texts(blocks: Iterable[Block], param: str) -> list[str]:
    texts = []
    for at, block in enumerate(blocks):
        if not isinstance(block, TextBlock):
            raise invalid("a system message holds text blocks only", f"{param}[{at}]")
        if not block.text.startswith(BILLING):
            texts.append(block.text)
    return texts


def _assistant(blocks: Iterable[Block], param: str) -> Message:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for at, block in enumerate(blocks):
        match block:
            case TextBlock():
                texts.append(block.text)
            case ThinkingBlock():
                thoughts.append(block.thinking)
            case ToolUseBlock():
                arguments = msgspec.json.encode(block.input).decode()
                calls.append(ToolCall(block.id, FunctionCall(block.name, arguments)))
            case RedactedBlock():
                pass  # readable to Anthropic alone
            case _:
                raise invalid("a turn of the assistant holds text, thinking and tool_use blocks", f"{param}[{at}]")
    return Message(
        "assistant",
        "\n".join(texts) if texts else None,
        tool_calls=calls or None,
        reasoning_content="\n".join(thoughts) if thoughts else None,
    )


def _user(blocks: Iterable[Block], param: str) -> list[Message]:
    """Results of tools come first, as templates want them right behind the calls; images among them follow."""
    results: list[Message] = []
    parts: list[Part] = []
    for at, block in enumerate(blocks):
        where = f"{param}[{at}]"
        match block:
            case ToolResultBlock():
                shown = _shown(block, where)
                texts = [part.text for part in shown if isinstance(part, TextPart)]
                results.append(Message("tool", "\n".join(texts), tool_call_id=block.tool_use_id))
                parts.extend(part for part in shown if not isinstance(part, TextPart))
            case TextBlock() | ImageBlock() | DocumentBlock():
                parts.append(_part(block, where))
            case _:
                raise invalid("a turn of the user holds text, image, document and tool_result blocks", where)
    if not parts:
        return results or [Message("user", "")]
    if all(isinstance(part, TextPart) for part in parts):
        text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
        return [*results, Message("user", text)]
    return [*results, Message("user", parts)]


def _shown(block: ToolResultBlock, param: str) -> list[Part]:
    if block.content is None or isinstance(block.content, str):
        return [TextPart(block.content or "")]
    return [_part(inner, f"{param}.content[{at}]") for at, inner in enumerate(block.content)]


def _part(block: Shown, param: str) -> Part:
    if isinstance(block, TextBlock):
        return TextPart(block.text)
    if isinstance(block, ImageBlock):
        if not isinstance(block.source, Base64Source):
            raise invalid("images come inside the request, as base64; nothing is ever fetched", f"{param}.source")
        return ImagePart(ImageUrl(f"data:{block.source.media_type};base64,{block.source.data}"))
    if not isinstance(block.source, TextSource):
        raise invalid("of documents only plain text is read here", f"{param}.source")
    heads = [line for line in (block.title, block.context) if line]
    return TextPart("\n".join([*heads, block.source.data]))
