"""Tokens of a prompt as an engine would read it, and the text of tokens: each kind of engine has its own way to ask."""

from typing import TypeVar

import msgspec

from router.call_context import CallContext
from router.decision import Candidate
from router.dialects.chat import ChatBody
from router.engine_question import ask_engine
from router.errors import ApiError


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Text(msgspec.Struct):
    """vLLM and our own mlx-lm say `prompt`, llama.cpp `content`."""

    prompt: str | None = None
    content: str | None = None


Said = TypeVar("Said", _Tokens, _Text)


class Tokenizer:
    """Asks one engine, for one request of a client. Everything raises ApiError where the engine does not answer."""

    def __init__(self, context: CallContext, candidate: Candidate, request_id: str) -> None:
        self._context, self._candidate, self._request_id = context, candidate, request_id

    async def of_chat(self, body: ChatBody) -> list[int]:
        """As the model's template renders the messages and tools, ready for an answer."""
        asked: dict[str, object] = {"messages": body.messages}
        if body.tools:
            asked["tools"] = body.tools
        if body.chat_template_kwargs is not None:
            asked["chat_template_kwargs"] = body.chat_template_kwargs
        if self._candidate.kind != "llamacpp":
            return (await self._ask("/tokenize", {**asked, "add_generation_prompt": True}, _Tokens)).tokens
        rendered = (await self._ask("/apply-template", asked, _Text)).prompt or ""
        # The template wrote the special tokens: they are read as such, and none is added.
        return (await self._ask("/tokenize", {"content": rendered, "parse_special": True}, _Tokens)).tokens

    async def of_text(self, text: str) -> list[int]:
        if self._candidate.kind != "llamacpp":
            return (await self._ask("/tokenize", {"prompt": text}, _Tokens)).tokens
        return (await self._ask("/tokenize", {"content": text, "add_special": True}, _Tokens)).tokens

    async def text_of(self, tokens: list[int]) -> str:
        said = await self._ask("/detokenize", {"tokens": tokens}, _Text)
        return said.prompt or said.content or ""

    async def _ask(self, path: str, asked: dict[str, object], kind: type[Said]) -> Said:
        body = msgspec.json.encode({"model": self._candidate.served_name, **asked})
        said = await ask_engine(self._context, self._candidate, path, body, self._request_id)
        try:
            return msgspec.json.decode(said, type=kind)
        except msgspec.DecodeError:
            where = f"engine {self._candidate.engine_id}"
            raise ApiError(502, "upstream_failure", f"{where} answered {path} with something else; try again") from None
