"""The body that an engine would read, looked through for personal data: every text in it, and nothing but texts."""

import msgspec
from msgspec.structs import replace

from router.dialects.chat import ChatBody, Function, SchemaFormat, Tool
from router.dialects.chat_messages import FunctionCall, Message, RefusalPart, TextPart, ToolCall
from router.dialects.common import BodyPrompt
from router.dialects.completions import CompletionBody
from router.dialects.embeddings import EmbeddingsBody
from router.dialects.reading import ReadPrompt
from router.dialects.rerank import Asked
from router.pii_guard import Guard, unreadable
from router.pii_voice import guarded_voice
from router.reply import voice_of
from router.request import Arrival, Parsed, Prompt, Voice

_OTHERS = ("name", "refusal", "reasoning_content", "reasoning")


def guarded(parsed: Parsed, guard: Guard) -> Parsed:
    """The same request as its engine may read it, with a voice that puts back and blanks. Raises ApiError 400 for what
    is refused, and for token ids, which nobody here can read."""
    field = parsed.prompt_field
    if guard.rewrites and ("token_ids" in parsed.needs or _is_ids(parsed.prompt)):
        raise unreadable(field)
    prompt = _prompt(parsed.prompt, guard)
    guard.check(field)
    whole = replace(parsed, guard=guard, prompt=prompt if guard.rewrites else parsed.prompt)
    if not guard.rewrites or not parsed.writes:
        return whole

    def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
        return guarded_voice(voice_of(parsed, arrival, prompt_tokens), guard)

    return replace(whole, voice=voice)


def counted_chat(body: ChatBody, guard: Guard | None) -> ChatBody:
    """As the engine that counts its tokens may read it. Raises ApiError 400 as `guarded` does."""
    if guard is None:
        return body
    safe = _chat(body, guard)
    guard.check("messages")
    return safe if guard.rewrites else body


def counted_text(text: str, guard: Guard | None) -> str:
    return text if guard is None else guard.more(text, "prompt")


def _chat(body: ChatBody, guard: Guard) -> ChatBody:
    messages = [_message(message, guard) for message in body.messages]
    tools = [_tool(tool, guard) if isinstance(tool, Tool) else tool for tool in body.tools or ()] or body.tools
    wanted = body.response_format
    if isinstance(wanted, SchemaFormat):
        schema = replace(wanted.json_schema, schema=guard.value(wanted.json_schema.schema))
        wanted = SchemaFormat(replace(schema, description=_maybe(schema.description, guard)))
    return replace(body, messages=messages, tools=tools, response_format=wanted)


def _prompt(prompt: Prompt, guard: Guard) -> Prompt:
    if isinstance(prompt, BodyPrompt):
        body = prompt.body
        if isinstance(body, ChatBody):
            return BodyPrompt(_chat(body, guard))
        if isinstance(body, CompletionBody):
            return BodyPrompt(replace(body, prompt=_texts(body.prompt, guard)))
    if isinstance(prompt, ReadPrompt):
        asked = prompt.body
        if isinstance(asked, EmbeddingsBody):
            return ReadPrompt(replace(asked, input=_texts(asked.input, guard)))
        if isinstance(asked, Asked):
            documents = [guard.text(document) for document in asked.documents]
            return ReadPrompt(replace(asked, query=guard.text(asked.query), documents=documents))
    raise TypeError(f"{type(prompt).__name__} is no prompt that can be looked through")


def _is_ids(prompt: Prompt) -> bool:
    body = prompt.body if isinstance(prompt, BodyPrompt) else None
    return isinstance(body, CompletionBody) and not isinstance(body.prompt, str) and not isinstance(body.prompt[0], str)


def _texts(given: object, guard: Guard) -> object:
    """Token ids stay."""
    return guard.value(given)


def _message(message: Message, guard: Guard) -> Message:
    content: object = message.content
    if isinstance(message.content, str):
        content = guard.text(message.content)
    elif message.content is not None:
        content = [_part(part, guard) for part in message.content]
    calls = message.tool_calls and [_call(call, guard) for call in message.tool_calls]
    thought = {
        name: _maybe(getattr(message, name), guard) for name in ("name", "refusal", "reasoning_content", "reasoning")
    }
    return replace(message, content=content, tool_calls=calls, **thought)


def _part(part: msgspec.Struct, guard: Guard) -> msgspec.Struct:
    if isinstance(part, TextPart):
        return TextPart(guard.text(part.text))
    return RefusalPart(guard.text(part.refusal)) if isinstance(part, RefusalPart) else part


def _call(call: ToolCall, guard: Guard) -> ToolCall:
    function = call.function
    return replace(call, function=FunctionCall(function.name, guard.json(function.arguments)))


def _tool(tool: Tool, guard: Guard) -> Tool:
    function = tool.function
    return Tool(
        Function(function.name, _maybe(function.description, guard), guard.value(function.parameters), function.strict)  # type: ignore[arg-type]  # as JSON as it was
    )


def _maybe(text: str | None, guard: Guard) -> str | None:
    return None if text is None else guard.text(text)
