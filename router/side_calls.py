"""Calls that front ends make for themselves beside a conversation (titles, tags, follow-ups), known by what they really
send. Pure.

One that is not recognised is served as any request is. A user's own request that is taken for one may be answered by
another model. So each sign is a program's own wording, at the place where that program puts it, and whatever such calls
never have (tools, images, answers of the assistant) speaks against it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec

SideKind = Literal[
    "title", "tags", "follow_ups", "queries", "autocomplete", "emoji", "image_prompt", "suggestions", "probe"
]

PREAMBLE_CHARACTERS = 300  # at most, in which a program introduces itself
TEMPLATE_CHARACTERS = 8000  # of a template, before the conversation that it quotes


class SideCall(msgspec.Struct, frozen=True, gc=False):
    """What a front end wants beside the conversation, and by what it is known."""

    kind: SideKind
    why: str


class Asked(NamedTuple):
    """A chat request as far as one is known by it. It has no tools, no images, and nothing from the assistant."""

    system: str  # what the client says first; "" for nothing
    said: tuple[str, ...]  # by the user, in order
    output_tokens_limit: int | None


class _Sign(NamedTuple):
    kind: SideKind
    program: str
    begins: str
    holds: str = ""


_IN_SYSTEM = (
    _Sign("title", "opencode", "You are a title generator. You output ONLY a thread title."),
    _Sign("title", "Claude Code", "Generate a concise, sentence-case title (3-7 words) that captures the main topic"),
    _Sign("title", "Claude Code", "Generate a short kebab-case name (2-4 words) that captures the main topic"),
    _Sign("title", "Claude Code", "Analyze if this message indicates a new conversation topic.", "title"),
    _Sign("title", "Claude Code", "Summarize this coding conversation in under 50 characters."),
    _Sign("title", "VS Code", "You are an expert in crafting ", "titles for chatbot conversations"),
)
_FROM_USER = (
    _Sign("title", "Claude Code", "You are coming up with a succinct title and git branch name", "<description>"),
    _Sign("title", "Claude Code", "Please write a 5-10 word title", "Respond with the title for the conversation"),
    _Sign("title", "Continue", "Given the following... please reply with a title for the chat that is 3-4 words"),
    _Sign("title", "LibreChat", "Provide a concise, 5-word-or-less title for the conversation", "\nConversation:\n"),
    _Sign("title", "LibreChat", "Analyze this conversation and provide:\n1. The detected language", "concise title"),
    _Sign("emoji", "Open WebUI", "Your task is to reflect the speaker's likely facial expression through a fitting"),
)
_SYSTEM_OPENINGS = tuple(sign.begins for sign in _IN_SYSTEM)
_PROBE = "quota"

# Open WebUI's templates have these in common, whatever an operator changed in between. Each names its answer's key.
_TASK, _HISTORY, _HISTORY_ENDS = "### Task:", "<chat_history>", "</chat_history>"
_USER_OPENINGS = (_TASK, *(sign.begins for sign in _FROM_USER))
_KEYS: tuple[tuple[SideKind, str], ...] = (
    ("autocomplete", "You are an autocompletion system"),
    ("follow_ups", '"follow_ups"'),
    ("queries", '"queries"'),
    ("tags", '"tags"'),
    ("title", '"title"'),
    ("image_prompt", '"prompt"'),
)

TASKS: Mapping[str, SideKind] = MappingProxyType(
    {
        "title_generation": "title",
        "tags_generation": "tags",
        "follow_up_generation": "follow_ups",
        "query_generation": "queries",
        "autocomplete_generation": "autocomplete",
        "emoji_generation": "emoji",
        "image_prompt_generation": "image_prompt",
        "document_suggestions_generation": "suggestions",
    }
)
"""Open WebUI's names. Of its other tasks, the choice of tools and the merging of answers, users read the outcome."""


def named(task: str, where: str) -> SideCall | None:
    """What a front end says of its own call; None for a name that stands for none."""
    kind = TASKS.get(task.strip().lower())
    return None if kind is None else SideCall(kind, f"the front end says so in {where}")


def worth_a_look(first: str, last: str) -> bool:
    """Whether a chat whose first and last messages begin so can be one: most are none, which two looks tell."""
    if last.startswith(_USER_OPENINGS) or first.startswith(_SYSTEM_OPENINGS):
        return True
    at = first.find("\n\n", 0, PREAMBLE_CHARACTERS)
    return (at > 0 and first.startswith(_SYSTEM_OPENINGS, at + 2)) or last == _PROBE


def recognised(asked: Asked) -> SideCall | None:
    """None for whatever a user may have asked."""
    said = asked.said
    if asked.system:
        found = _by_system(asked.system)
        if found is not None:
            return found
    elif asked.output_tokens_limit == 1 and said == (_PROBE,):
        return SideCall("probe", "Claude Code's question whether anybody answers")
    if len(said) != 1:
        return None
    text = said[0]
    return _by_template(text) if text.startswith(_TASK) else _by_opening(text)


def _by_system(system: str) -> SideCall | None:
    """Its words come first, or after the paragraph in which the program introduces itself."""
    at = 0
    if not system.startswith(_SYSTEM_OPENINGS):
        at = system.find("\n\n", 0, PREAMBLE_CHARACTERS) + 2
        if at < 2 or not system.startswith(_SYSTEM_OPENINGS, at):
            return None
    for sign in _IN_SYSTEM:
        if system.startswith(sign.begins, at) and sign.holds in system:
            return _told(sign, "system prompt")
    return None


def _by_opening(text: str) -> SideCall | None:
    for sign in _FROM_USER:
        if text.startswith(sign.begins) and sign.holds in text:
            return _told(sign, "prompt")
    return None


def _by_template(text: str) -> SideCall | None:
    history = text.find(_HISTORY, 0, TEMPLATE_CHARACTERS)
    if history < 0 or text.find(_HISTORY_ENDS, history) < 0:
        return None
    for kind, key in _KEYS:
        if text.find(key, 0, history) >= 0:
            return SideCall(kind, "Open WebUI's template")
    return None


def _told(sign: _Sign, where: str) -> SideCall:
    return SideCall(sign.kind, f"{sign.program}'s {where}")
