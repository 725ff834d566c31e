"""POST /v1/completions: the older dialect, closed and bounded in the same way."""

from typing import Annotated

import msgspec
from msgspec import Meta

from router.dialects.common import (
    BodyPrompt,
    Choices,
    Count,
    Label,
    LogitBias,
    ModelField,
    Penalty,
    Repetition,
    Seed,
    Share,
    Stops,
    StopText,
    StreamOptions,
    Temperature,
    TopK,
    TopLogprobs,
    as_read,
    decode,
    usage_asked,
)
from router.errors import invalid
from router.request import Parsed

PROMPTS = 32

TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class CompletionBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The fields accepted, and nothing else. `user` is accepted and dropped."""

    model: ModelField
    prompt: str | list[str | TokenId | list[TokenId]]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repetition_penalty: Repetition | None = None
    repeat_penalty: Repetition | None = None  # the same, as llama.cpp calls it; each engine knows one name
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: StopText | Stops | None = None
    n: Choices | None = None
    best_of: Annotated[int, Meta(ge=1, le=1)] | None = None
    logprobs: TopLogprobs | None = None
    logit_bias: LogitBias | None = None
    echo: bool | None = None
    user: Label | None = None

    def said(self) -> str:
        """Nothing of prompts that are token ids."""
        prompts = self.prompt if isinstance(self.prompt, list) else [self.prompt]
        return "\n".join(one for one in prompts if isinstance(one, str))

    def read(self) -> bytes:
        return as_read(self.prompt)


_decoder = msgspec.json.Decoder(CompletionBody)


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_decoder, raw)
    characters = _check_prompt(body.prompt)
    stream = body.stream is True
    usage_wanted = usage_asked(body.stream_options, stream)
    asked = body.model
    body.user = body.best_of = None
    body.repetition_penalty = body.repeat_penalty = body.repetition_penalty or body.repeat_penalty
    limit, prompts = body.max_tokens, _count_prompts(body.prompt)
    choices, prompt = body.n or 1, BodyPrompt(body)
    return Parsed(asked, stream, usage_wanted, characters, limit, prompt, prompts, choices, engine_api="completions")


def _count_prompts(prompt: str | list[str | int | list[int]]) -> int:
    """Of a checked one. A list of token ids is one prompt."""
    return 1 if isinstance(prompt, str) or isinstance(prompt[0], int) else len(prompt)


def _check_prompt(prompt: str | list[str | int | list[int]]) -> int:
    """Characters of the longest prompt. A list is all texts, all token ids, or all lists of token ids."""
    if isinstance(prompt, str):
        return len(prompt)
    if not prompt or len({type(item) for item in prompt}) != 1:
        raise invalid("`prompt` is a text, a list of texts, token ids, or a list of lists of token ids", "prompt")
    if not isinstance(prompt[0], int) and len(prompt) > PROMPTS:
        raise invalid(f"`prompt` holds {len(prompt)} prompts; the limit is {PROMPTS}", "prompt", "too_large")
    return max(len(item) for item in prompt if isinstance(item, str)) if isinstance(prompt[0], str) else 0
