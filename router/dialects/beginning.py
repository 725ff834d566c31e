"""The beginning of a prompt as a request of its own, so that an engine can read it before anybody needs it.

Cut where the bytes end that two prompts share: whatever an engine makes of this, it makes of every prompt that begins
so. A template wants a user to speak last; what is added for that comes after the beginning.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from router.dialects.chat import ChatBody
from router.dialects.chat_messages import Message
from router.dialects.common import BodyPrompt, as_read
from router.dialects.completions import CompletionBody
from router.request import Prompt

LONGEST_ESCAPE = 6  # bytes of JSON for one character
SAYS_LITTLE = "."

_encode = msgspec.json.encode


def beginning_of(prompt: Prompt, size_bytes: int) -> Prompt | None:
    """Of so many bytes of what it `read`s, for an answer of one token; None where that makes no request."""
    body = prompt.body if isinstance(prompt, BodyPrompt) else None
    if isinstance(body, ChatBody):
        cut = _chat(body, size_bytes)
        return BodyPrompt(cut) if cut is not None else None
    if isinstance(body, CompletionBody) and isinstance(body.prompt, str):
        text = _cut(body.prompt, size_bytes - 1)  # a quotation mark comes first
        return BodyPrompt(replace(body, prompt=text, max_tokens=1, n=None, logprobs=None, echo=None)) if text else None
    return None


def _chat(body: ChatBody, size_bytes: int) -> ChatBody | None:
    messages = _messages(body.messages, size_bytes - len(as_read(body.tools, [])))
    if not messages:
        return None
    if messages[-1].role != "user":
        messages.append(Message("user", SAYS_LITTLE))
    return replace(body, messages=messages, max_tokens=1, n=None, logprobs=None, top_logprobs=None,
                   logit_bias=None, response_format=None)  # fmt: skip


def _messages(messages: Sequence[Message], left: int) -> list[Message]:
    """Whole ones, and of the one after them the text as far as it goes."""
    kept: list[Message] = []
    for message in messages:
        size = len(_encode(message)) + 1  # and a comma
        if size > left:
            part = _part(message, left)
            return [*kept, part] if part is not None else kept
        kept.append(message)
        left -= size
    return kept


def _part(message: Message, left: int) -> Message | None:
    if not isinstance(message.content, str) or message.role not in ("system", "user"):
        return None
    before = _encode(message).find(b'"content":"')
    text = _cut(message.content, left - before - len(b'"content":"'))
    return replace(message, content=text) if text else None


def _cut(text: str, size_bytes: int) -> str:
    """As many characters as take so many bytes of JSON."""
    encoded = _encode(text)[1:-1][: max(size_bytes, 0)]
    for end in range(len(encoded), max(len(encoded) - LONGEST_ESCAPE, 0), -1):
        try:
            return msgspec.json.decode(b'"%b"' % encoded[:end], type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return ""
