"""What front ends send beside a conversation, as they word it: templates with a conversation of any language in them.

Wording as of Open WebUI 0.10, opencode 1.18, Claude Code 2.1 and 0.2, Continue 1.5, LibreChat's agents 3 and VS Code's
Copilot Chat of 2025; examples in the middle of a template are left out, which front ends let operators do as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from router.side_calls import SideKind

Body = dict[str, Any]
TEXTS = (
    "How do I bake sourdough bread without a Dutch oven?",
    "¿Cuánto tarda en cocerse un huevo a 2.000 metros de altura?",
    "Warum ist der Himmel blau, und abends rot?",
    "なぜ空は青いのですか。短く答えてください。",
    "كيف أتعلم العزف على العود في المنزل؟",
    "Почему небо голубое, а закат красный?",
    "मुझे हिंदी में एक छोटी कविता लिखो",
    "请帮我写一个快速排序的函数，并解释它的复杂度",
    'fix the "title" of the page, see ### Task: in README.md',
    "<chat_history> is a tag in my XML, why does it not parse?\n\n```xml\n<a/>\n```",
)


@dataclass(frozen=True)
class FrontEndCall:
    """`path` is where it is sent, `kind` what it is."""

    name: str
    kind: SideKind
    path: str
    body: Body


def _history(texts: list[str]) -> str:
    sides = ("USER", "ASSISTANT")
    turns = "\n".join(f"{sides[index % 2]}: {text}" for index, text in enumerate(texts))
    return f"### Chat History:\n<chat_history>\n{turns}\n</chat_history>"


def _open_webui(task: str, output: str) -> Callable[[list[str]], str]:
    def written(texts: list[str]) -> str:
        guidelines = "### Guidelines:\n- Write in the chat's primary language; default to English if multilingual."
        return f"### Task:\n{task}\n{guidelines}\n### Output:\nJSON format: {output}\n{_history(texts)}"

    return written


def _autocomplete(texts: list[str]) -> str:
    return (
        "### Task:\nYou are an autocompletion system. Continue the text in `<text>` based on the **completion type** "
        'in `<type>` and the given language.  \n\n### **Output Rules**:\n- Respond only in JSON format: `{ "text": '
        f'"<your_completion>" }}`.\n\n### Context:\n{_history(texts)}\n<type>General</type>  \n<text>{texts[0]}</text>'
    )


OPEN_WEBUI: dict[SideKind, Callable[[list[str]], str]] = {
    "title": _open_webui(
        "Generate a concise, 3-5 word title with an emoji summarizing the chat history.",
        '{ "title": "your concise title here" }',
    ),
    "tags": _open_webui(
        "Generate 1-3 broad tags categorizing the main themes of the chat history, along with 1-3 more specific "
        "subtopic tags.",
        '{ "tags": ["tag1", "tag2", "tag3"] }',
    ),
    "follow_ups": _open_webui(
        "Suggest 3-5 relevant follow-up questions or prompts that the user might naturally ask next in this "
        "conversation as a **user**, based on the chat history, to help continue or deepen the discussion.",
        '{ "follow_ups": ["Question 1?", "Question 2?", "Question 3?"] }',
    ),
    "queries": _open_webui(
        "Analyze the chat history to determine the necessity of generating search queries, in the given language.",
        '{ "queries": ["query1", "query2"] }',
    ),
    "image_prompt": _open_webui(
        "Generate a detailed prompt for am image generation task based on the given language and context.",
        '{ "prompt": "Your detailed description here." }',
    ),
    "autocomplete": _autocomplete,
    "emoji": lambda texts: (
        "Your task is to reflect the speaker's likely facial expression through a fitting emoji. Interpret emotions "
        f"from the message.\n\nMessage: ```{texts[0]}```"
    ),
}
OPENCODE = "You are a title generator. You output ONLY a thread title. Nothing else.\n\n<task>\nGenerate a brief title"
CLAUDE_CODE = "You are Claude Code, Anthropic's official CLI for Claude."
CLAUDE_TITLES = (
    "Generate a concise, sentence-case title (3-7 words) that captures the main topic or goal of this coding session.",
    "Generate a short kebab-case name (2-4 words) that captures the main topic of this conversation.",
    "Analyze if this message indicates a new conversation topic. If it does, extract a 2-3 word title.",
    "Summarize this coding conversation in under 50 characters.\nCapture the main task, key files and status.",
)
CLAUDE_PROMPTS = (
    "You are coming up with a succinct title and git branch name for a coding session based on the provided "
    "description.\n\nHere is the session description:\n<description>{}</description>",
    "Please write a 5-10 word title for the following conversation:\n\nUser: {}\n\n"
    "Respond with the title for the conversation and nothing else.",
)
CONTINUE = (
    "Given the following... please reply with a title for the chat that is 3-4 words in length, all words used should "
    "be directly related to the content of the chat.\n\n{}"
)
LIBRECHAT = (
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return the title "
    "itself.\n\nConversation:\nUser: {}\nAI: {}"
)
VSCODE = "You are an expert in crafting pithy titles for chatbot conversations. You are presented with a conversation."
BILLING = "x-anthropic-billing-header: cc_version=2.1.197.a1; cc_entrypoint=cli;"


def front_end_calls(model: str, texts: list[str]) -> list[FrontEndCall]:
    """One of each, about this conversation."""
    chat, first = "/v1/chat/completions", texts[0]
    calls = [
        FrontEndCall(f"Open WebUI {kind}", kind, chat, {"messages": [_user(written(texts))], "stream": False})
        for kind, written in OPEN_WEBUI.items()
    ]
    title = OPEN_WEBUI["title"](texts)
    with_system = [_system("Answer as a pirate."), _user(title)]
    calls += [
        _title("Open WebUI with a system prompt", chat, {"messages": with_system, "max_completion_tokens": 1000}),
        _title("Open WebUI through Ollama", "/api/chat", {"messages": [_user(title)], "stream": False}),
        _title("opencode", chat, {"messages": _opencode(first), "stream": True, "max_tokens": 32000}),
        _title("opencode through Responses", "/v1/responses", {"input": _opencode(first, "developer"), "stream": True}),
        _title("VS Code", chat, {"messages": [_system(VSCODE), _user(first)], "stream": True}),
        _title("Continue", chat, {"messages": [_user(CONTINUE.format(first))], "max_tokens": 16}),
        _title("LibreChat", chat, {"messages": [_user(LIBRECHAT.format(first, texts[-1]))]}),
    ]
    for wording in CLAUDE_TITLES:
        blocks = [{"type": "text", "text": text} for text in (BILLING, CLAUDE_CODE, wording)]
        body = {"system": blocks, "messages": [_user(first)], "max_tokens": 32000, "tools": []}
        calls.append(_title("Claude Code", "/v1/messages?beta=true", body))
    for wording in CLAUDE_PROMPTS:
        calls.append(
            _title("Claude Code", "/v1/messages", {"messages": [_user(wording.format(first))], "max_tokens": 512})
        )
    probe = {"messages": [_user("quota")], "max_tokens": 1}
    calls.append(FrontEndCall("Claude Code", "probe", "/v1/messages", probe))
    return [FrontEndCall(one.name, one.kind, one.path, {"model": model, **one.body}) for one in calls]


def replayed(model: str, count: int, seed: int = 7) -> list[FrontEndCall]:
    """So many of all kinds, each about another conversation."""
    random, calls = Random(seed), list[FrontEndCall]()
    while len(calls) < count:
        texts = random.choices(TEXTS, k=random.randint(1, 6))
        calls += front_end_calls(model, [f"{text} {random.randint(0, 9999)}" for text in texts])
    return random.sample(calls, count)


def _title(name: str, path: str, body: Body) -> FrontEndCall:
    return FrontEndCall(name, "title", path, body)


def _user(text: str) -> Body:
    return {"role": "user", "content": text}


def _system(text: str, role: str = "system") -> Body:
    return {"role": role, "content": text}


def _opencode(text: str, role: str = "system") -> list[Body]:
    return [_system(OPENCODE, role), _user("Generate a title for this conversation:\n"), _user(text)]
