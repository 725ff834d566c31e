"""The turns of an Ollama request as messages of a chat: pictures without a type, tool calls without an id."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from router.dialects.chat_messages import FunctionCall, ImagePart, ImageUrl, Message, Part, TextPart, ToolCall
from router.dialects.common import Closed, Dropped, JsonObject, Label
from router.errors import invalid

Images = Annotated[list[str], Meta(max_length=64)]

# How each kind of picture begins in base64: Ollama's clients send no type, and a data: URL has one.
_PICTURES = (("iVBORw0KGgo", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp"), ("Qk", "bmp"))


class CalledFunction(Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: JsonObject | None = None
    index: int | None = None
    description: Dropped = None


class Called(Closed):
    """A call that the model made. Its id, where a client keeps it, is the one that we gave it."""

    function: CalledFunction
    id: Label | None = None
    type: Literal["function"] | None = None


class Turn(Closed):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: Images | None = None
    tool_calls: Annotated[list[Called], Meta(max_length=128)] | None = None
    tool_name: Label | None = None
    tool_call_id: Label | None = None


class _Open(NamedTuple):
    """A call that has no result yet."""

    id: str
    name: str


def chat_messages(turns: Sequence[Turn]) -> list[Message]:
    """Raises ApiError 400 that names what cannot be told to an engine."""
    messages: list[Message] = []
    calls: list[_Open] = []
    for index, turn in enumerate(turns):
        param = f"messages[{index}]"
        if turn.images and turn.role != "user":
            raise invalid("only a message of the user has images", f"{param}.images")
        if turn.role == "user":
            messages.append(user_message(turn.content or "", turn.images, f"{param}.images"))
        elif turn.role == "tool":
            answered = _answered(turn, calls) or f"call_{index}"
            messages.append(Message("tool", turn.content or "", name=turn.tool_name, tool_call_id=answered))
        elif turn.role == "assistant":
            made = [_made(call, f"call_{index}_{at}") for at, call in enumerate(turn.tool_calls or ())]
            calls += [_Open(call.id, call.function.name) for call in made]
            content = turn.content or (None if made else "")
            messages.append(Message("assistant", content, tool_calls=made or None, reasoning_content=turn.thinking))
        else:
            messages.append(Message("system", turn.content or ""))
    return messages


def user_message(text: str, images: Sequence[str] | None, param: str) -> Message:
    """Raises ApiError 400 for an image of no known type."""
    if not images:
        return Message("user", text)
    shown: list[Part] = [TextPart(text)] if text else []
    return Message("user", [*shown, *(_picture(data, f"{param}[{at}]") for at, data in enumerate(images))])


def _picture(data: str, param: str) -> ImagePart:
    kind = next((kind for begins, kind in _PICTURES if data.startswith(begins)), None)
    if kind is None:
        raise invalid("an image is a PNG, JPEG, GIF, WebP or BMP in base64", param)
    return ImagePart(ImageUrl(f"data:image/{kind};base64,{data}"))


def _made(call: Called, otherwise: str) -> ToolCall:
    arguments = msgspec.json.encode(call.function.arguments or {}).decode()
    return ToolCall(call.id or otherwise, FunctionCall(call.function.name, arguments))


def _answered(turn: Turn, calls: list[_Open]) -> str | None:
    """The call whose result this is: by its id, else the first of its tool, else the first, as their order tells."""
    found = next((call for call in calls if call.id == turn.tool_call_id), None)
    if found is None and turn.tool_call_id is None:
        found = next((call for call in calls if call.name == turn.tool_name), calls[0] if calls else None)
    if found is not None:
        calls.remove(found)
    return found.id if found is not None else turn.tool_call_id
