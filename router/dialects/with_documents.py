"""What a prompt asks of documents, and the prompt with what was found in them.

Passages go into the system message that the client's own words end with: templates of open models know one, and some
refuse a second. A prompt without a template has them before it.
"""

import msgspec

from router.dialects.chat import ChatBody
from router.dialects.chat_messages import Message, TextPart, text_of
from router.dialects.common import BodyPrompt
from router.dialects.completions import CompletionBody
from router.request import Parsed, Prompt

BETWEEN = "\n\n"


def question_of(prompt: Prompt) -> str:
    """The last words of the user; "" where there are none, or no one text to add anything to."""
    body = prompt.body if isinstance(prompt, BodyPrompt) else None
    if isinstance(body, ChatBody):
        return next((text_of(message) for message in reversed(body.messages) if message.role == "user"), "")
    if isinstance(body, CompletionBody) and isinstance(body.prompt, str):
        return body.prompt
    return ""


def with_context(parsed: Parsed, context: str) -> Parsed:
    """The same request, whose engine reads this as well. Only of one that has a question."""
    prompt = parsed.prompt
    assert isinstance(prompt, BodyPrompt)
    body = prompt.body
    if isinstance(body, ChatBody):
        whole = BodyPrompt(msgspec.structs.replace(body, messages=_with_system(body.messages, context)))
    else:
        assert isinstance(body, CompletionBody)
        whole = BodyPrompt(msgspec.structs.replace(body, prompt=f"{context}{BETWEEN}{body.prompt}"))
    longer = parsed.prompt_characters + len(context) + len(BETWEEN)
    return msgspec.structs.replace(parsed, prompt=whole, prompt_characters=longer)


def _with_system(messages: list[Message], context: str) -> list[Message]:
    """After what the client says as the system before anybody speaks, which stays as it begins."""
    count = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    if not count:
        return [Message("system", context), *messages]
    last = messages[count - 1]
    if isinstance(last.content, list):
        longer = msgspec.structs.replace(last, content=[*last.content, TextPart(context)])
    else:
        said = f"{last.content}{BETWEEN}{context}" if last.content else context
        longer = msgspec.structs.replace(last, content=said)
    return [*messages[: count - 1], longer, *messages[count:]]
