"""What each engine kind can do on the wire, as data: the router passes, emulates, routes elsewhere or refuses by it.

True of vLLM 0.32, mlx-lm 0.32, the llama.cpp server of xllamacpp 2026.10 and our own encoder server, each as its start
script here runs it. An engine whose model makes vectors has them at its endpoint, and answers nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from nodes.snapshot import EngineKind

Endpoint = Literal[
    "models", "chat", "completions", "embeddings", "rerank", "responses", "messages", "count_tokens", "tokenize"
]
Support = Literal["yes", "if_model", "no"]
"""if_model: the engine can, when the model's template or the launch's flags allow it."""


@dataclass(frozen=True, slots=True)
class WireProfile:
    """One engine kind's protocol. Every field is a fact about the engine; what to do about it is the router's."""

    kind: EngineKind
    endpoints: frozenset[Endpoint]
    auth: Literal["bearer", "none"]
    open_paths: frozenset[str]  # answered without the key although the engine has one
    tools: Support
    tool_choice: Support
    json_schema: Support
    vision: Support
    several_choices: bool  # n > 1
    seed: bool
    stop: bool
    logprobs: Literal["openai", "own_shape"]
    logit_bias: bool
    reasoning_field: Literal["reasoning", "reasoning_content"]
    stream_usage: bool  # honours stream_options.include_usage
    sse_comments: bool  # sends comment lines while a prompt is evaluated
    error_shape: Literal["openai", "openai_integer_code", "string"]
    metrics: Literal["prometheus", "none"]
    health: Literal["tells_loading", "static", "hides_hangs"]
    timings: bool  # reports its own prompt and generation times in each answer
    queue: Literal["unbounded", "none"]
    cancel_stream: Literal["at_once", "next_token"]  # the client of a stream left
    cancel_in_prompt: Literal["at_once", "first_token"]  # it left before the first token
    cancel_whole: Literal["at_once", "never"]  # the client of an answer that is not streamed left
    prompt_cancel_field: str | None  # true in a streamed request: it is also cancelled between two prompt batches
    progress_key: str | None  # chunks that carry this key are the price of that field, and not for clients
    token_ids: bool = False  # texts to make vectors of may come as these
    dimensions: Support = "no"  # vectors of fewer than the model's own
    cache_salt: bool = False  # what it cached of prompts serves only requests that name the same salt


_COMMON: frozenset[Endpoint] = frozenset(("models", "chat", "completions"))
_FULL: frozenset[Endpoint] = _COMMON | {"embeddings", "rerank", "responses", "messages", "count_tokens", "tokenize"}

_VLLM = WireProfile(
    kind="vllm",
    endpoints=_FULL,
    auth="bearer",
    open_paths=frozenset(("/health",)),
    tools="if_model",  # needs --enable-auto-tool-choice and the model's parser
    tool_choice="yes",
    json_schema="yes",
    vision="if_model",
    several_choices=True,
    seed=True,
    stop=True,
    logprobs="openai",
    logit_bias=True,
    reasoning_field="reasoning",
    stream_usage=True,
    sse_comments=False,
    error_shape="openai_integer_code",
    metrics="prometheus",
    health="hides_hangs",
    timings=False,
    queue="unbounded",
    cancel_stream="at_once",
    cancel_in_prompt="at_once",
    cancel_whole="at_once",
    prompt_cancel_field=None,
    progress_key=None,
    token_ids=True,
    cache_salt=True,
    dimensions="if_model",  # one that was trained so that its first dimensions stand alone, as its settings say
)

_MLX = WireProfile(
    kind="mlx",
    endpoints=_COMMON,
    auth="bearer",
    open_paths=frozenset(("/health",)),
    tools="if_model",
    tool_choice="no",
    json_schema="no",
    vision="no",
    several_choices=False,
    seed=True,
    stop=True,
    logprobs="own_shape",
    logit_bias=True,
    reasoning_field="reasoning",
    stream_usage=True,
    sse_comments=True,
    error_shape="string",
    metrics="prometheus",
    health="static",
    timings=False,
    queue="unbounded",
    cancel_stream="next_token",
    cancel_in_prompt="first_token",
    cancel_whole="never",
    prompt_cancel_field=None,
    progress_key=None,
)

_LLAMACPP = WireProfile(
    kind="llamacpp",
    endpoints=_FULL,
    auth="bearer",
    open_paths=frozenset(("/health",)),
    tools="if_model",  # silently ignored where the template has no tools
    tool_choice="if_model",
    json_schema="yes",
    vision="if_model",
    several_choices=True,
    seed=True,
    stop=True,
    logprobs="openai",
    logit_bias=True,
    reasoning_field="reasoning_content",
    stream_usage=True,
    sse_comments=True,  # a bare ":" every 30 s
    error_shape="openai_integer_code",
    metrics="prometheus",
    health="tells_loading",
    timings=True,
    queue="unbounded",
    cancel_stream="next_token",
    # Measured with a prompt of 1,300 tokens: a stream whose client left kept its slot until the first token, 8 to 18 s;
    # with the field below, for a batch or two. An answer that is not streamed was generated to its end, for nobody:
    # whoever wants its slot back streams from this engine and puts the answer together.
    cancel_in_prompt="first_token",
    cancel_whole="never",
    prompt_cancel_field="return_progress",
    progress_key="prompt_progress",
    token_ids=True,
)

_ENCODER = WireProfile(
    kind="encoder",
    endpoints=frozenset(("models", "embeddings")),
    auth="bearer",
    open_paths=frozenset(("/health",)),
    tools="no",
    tool_choice="no",
    json_schema="no",
    vision="no",
    several_choices=False,
    seed=False,
    stop=False,
    logprobs="own_shape",
    logit_bias=False,
    reasoning_field="reasoning",
    stream_usage=False,
    sse_comments=False,
    error_shape="openai",
    metrics="prometheus",
    health="tells_loading",
    timings=False,
    queue="unbounded",
    cancel_stream="at_once",
    cancel_in_prompt="at_once",
    cancel_whole="at_once",
    prompt_cancel_field=None,
    progress_key=None,
)

WIRE: Mapping[EngineKind, WireProfile] = MappingProxyType(
    {"vllm": _VLLM, "mlx": _MLX, "llamacpp": _LLAMACPP, "encoder": _ENCODER}
)
