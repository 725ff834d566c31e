"""An engine that can do everything a chat may ask for, as a script of `scripted_upstream`: its words follow from the
question alone, and a few answers at a time take their time."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from support.upstream import DONE, LAST_CHUNK, STREAM_HEAD, Asked, Script, framed, whole

CONTEXT, SLOTS, TOKEN_S = 2048, 4, 0.003
LONGEST = 500  # an answer is over after so many tokens, whatever was asked for
EMOJI = "🎉"
CALL = {"town": "Oslo"}
COUNTING = (b"/tokenize ", b"/apply-template ")


@dataclass
class Answer:
    """To one chat or completion."""

    asked: dict[str, Any]
    prompt: str
    made: int = 0
    end: str = "length"
    text: str = ""

    @property
    def limit(self) -> int:
        return min(LONGEST, int(self.asked.get("max_tokens") or self.asked.get("max_completion_tokens") or 16))

    @property
    def calls(self) -> bool:
        return isinstance(self.asked.get("tool_choice"), dict)

    def tokens(self) -> Iterator[str]:
        """Ends by itself, at a stop text or never; every piece is a token."""
        if self.asked.get("response_format"):
            yield json.dumps(CALL)
            return
        if EMOJI in self.prompt:
            yield from [EMOJI] * 12
            return
        chance = str(self.asked.get("seed")) if self.asked.get("temperature") else ""
        for at in range(CONTEXT):
            digits = hashlib.sha256(f"{self.prompt}|{chance}|{at}".encode()).hexdigest()
            yield f"{digits[:6]} ".translate(str.maketrans("0123456789", "ghijklmnop"))

    async def make(self, tell: Callable[[str], Awaitable[None]]) -> None:
        """One token after another, told as it is made; where a stop text may come, all is told in the end."""
        stops = self.asked.get("stop") or []
        for piece in self.tokens():
            await asyncio.sleep(TOKEN_S)
            self.made += 1
            self.text += piece
            if not stops and not self.calls:
                await tell(piece)
            cut = [
                self.text.index(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop in self.text
            ]
            if cut:
                self.text, self.end = self.text[: min(cut)], "stop"
                break
            if self.made >= self.limit:
                break
        else:
            self.end = "stop"
        if stops and self.text:
            await tell(self.text)


def able_engine() -> Script:
    """With slots of its own."""
    slots = asyncio.Semaphore(SLOTS)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.head.startswith(b"GET"):
            writer.write(whole(b"{}"))
        elif any(path in asked.head for path in COUNTING):
            writer.write(whole(json.dumps(_counted(asked.json)).encode()))
        else:
            await _generate(asked, slots, writer)
        await writer.drain()

    return script


def _counted(asked: Any) -> dict[str, object]:
    if "messages" in asked:
        return {"prompt": _rendered(asked["messages"])}
    return {"tokens": list(range(len(asked["content"].split())))}


def _rendered(messages: list[Any]) -> str:
    return " ".join(f"{message['role']}: {message.get('content')}" for message in messages) + " assistant:"


async def _generate(asked: Asked, slots: asyncio.Semaphore, writer: asyncio.StreamWriter) -> None:
    body: Any = asked.json
    chat = "messages" in body
    answer = Answer(body, _rendered(body["messages"]) if chat else str(body["prompt"]))
    if len(answer.prompt.split()) > CONTEXT:
        said = {
            "code": 400,
            "message": "the request exceeds the available context",
            "type": "exceed_context_size_error",
        }
        writer.write(whole(json.dumps({"error": said}).encode(), "400 Bad Request"))
        return
    async with slots:
        if not body.get("stream"):
            await answer.make(_untold)
            writer.write(whole(json.dumps(_whole(answer, chat)).encode()))
            return
        base = _base(chat, "chat.completion.chunk")
        writer.write(STREAM_HEAD)

        async def tell(piece: str) -> None:
            for index in _choices(answer):
                writer.write(_event(base, _delta(answer, index, piece, chat)))
            await writer.drain()

        await answer.make(tell)
        writer.write(b"".join(_event(base, *choices) for choices in _ending(answer, chat)))
        if (body.get("stream_options") or {}).get("include_usage"):
            writer.write(_event({**base, "usage": _usage(answer)}))
        writer.write(framed(DONE) + LAST_CHUNK)


async def _untold(_: str) -> None:
    """Of an answer that is whole when it is told."""


def _event(base: dict[str, Any], *choices: dict[str, Any]) -> bytes:
    return framed(b"data: " + json.dumps({**base, "choices": choices}).encode() + b"\n\n")


def _base(chat: bool, kind: str) -> dict[str, Any]:
    name = f"engine-{uuid4()}"
    return {"id": name, "object": kind if chat else "text_completion", "created": 1, "model": "toy"}


def _usage(answer: Answer) -> dict[str, int]:
    prompt = len(answer.prompt.split())
    return {"prompt_tokens": prompt, "completion_tokens": answer.made, "total_tokens": prompt + answer.made}


def _choices(answer: Answer) -> range:
    return range(answer.asked.get("n") or 1)


def _tool_call() -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(CALL)}}


def _logprobs(answer: Answer, text: str) -> dict[str, Any] | None:
    if not answer.asked.get("logprobs"):
        return None
    likely = {"token": text, "logprob": -0.5, "bytes": list(text.encode())}
    others = [likely] * int(answer.asked.get("top_logprobs") or 0)
    return {"content": [{**likely, "top_logprobs": others}], "refusal": None}


def _whole(answer: Answer, chat: bool) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    for index in _choices(answer):
        choice: dict[str, Any] = {"index": index, "finish_reason": answer.end, "logprobs": None}
        if not chat:
            choices.append({**choice, "text": answer.text})
            continue
        choice["logprobs"] = _logprobs(answer, answer.text)
        choice["message"] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.calls:
            choice["message"] |= {"content": None, "tool_calls": [_tool_call()]}
            choice["finish_reason"] = "tool_calls"
        choices.append(choice)
    return {**_base(chat, "chat.completion"), "choices": choices, "usage": _usage(answer)}


def _delta(answer: Answer, index: int, piece: str, chat: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": index, "finish_reason": None, "logprobs": None}
    if not chat:
        return {**choice, "text": piece}
    return {**choice, "delta": {"role": "assistant", "content": piece}, "logprobs": _logprobs(answer, piece)}


def _ending(answer: Answer, chat: bool) -> Iterator[list[dict[str, Any]]]:
    """The last events: the call, if there is one, and why the answer ends."""
    empty: dict[str, Any] = {"finish_reason": None, "logprobs": None}
    content: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    if answer.calls:
        delta = {"role": "assistant", "tool_calls": [{"index": 0, **_tool_call()}]}
        yield [{**empty, "index": index, "delta": delta} for index in _choices(answer)]
    end = "tool_calls" if answer.calls else answer.end
    yield [{**empty, "index": index, **content, "finish_reason": end} for index in _choices(answer)]
