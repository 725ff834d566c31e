"""What a request would cost on an engine, in seconds, term by term: an Ask and a Standing in, Terms out.

The terms are what this request waits for (`wait`, `load`, `prefill`, `decode`), what it does to others (`delay`,
`eviction`), what its session will pay later (`home`), and `risk`. None falls when an engine gets more to do.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import msgspec

from nodes.rates import Rates
from nodes.snapshot import EngineId
from router.rates import Bias
from router.sessions import SessionId

Terms = tuple[tuple[str, float], ...]  # (name, seconds)
TERMS = ("wait", "load", "prefill", "decode", "delay", "eviction", "home", "risk")
Seconds = tuple[float, float, float, float, float, float, float, float]
"""In the order of TERMS."""


class Ask(msgspec.Struct, frozen=True):
    """A request as far as its cost goes."""

    prompt_tokens: int
    output_tokens: float  # expected
    multi_turn: bool = False  # its session will be back


class Standing(msgspec.Struct, frozen=True):
    """One engine at this moment, as this gateway accounts for it, towards one request. No seconds are an integer 0:
    every standing is recorded, and most of these are none."""

    rates: Rates
    cache_tokens: int  # what its cache is believed to hold
    slots: int
    bias: Bias = Bias()
    in_flight: int = 0
    decoding: int = 0  # of these
    kv_tokens: int = 0  # that those in flight hold or will hold
    backlog_s: float = 0  # to read what its machine has to read before this prompt
    backlog_tokens: int = 0
    neighbours_step_s: float = 0  # a decode step of the other engines on its machine
    live_tokens: int = 0  # of other sessions that live here and will probably be back
    cached_tokens: int = 0  # of this prompt
    load_s: float = 0  # until it serves at all
    round_trip_s: float = 0
    home: bool = False  # the request's session was served here last
    kept_tokens: int = 0  # of prompts, that its cache was seen to keep; 0: as many as it is believed to hold
    strangers: int = 0  # among those in flight: requests that this gateway did not send
    strangers_age_s: float = 0  # of what is known of them


class Prospect(msgspec.Struct, frozen=True):
    """A request and how each engine that may get it stands towards it."""

    ask: Ask
    standings: Mapping[EngineId, Standing]
    session_id: SessionId | None = None  # to which the request belongs, where that is known


class Weights(msgspec.Struct, frozen=True):
    """A second of each kind against a second until the first token. Found by simulation: bench/routing."""

    decode: float = 0.3
    delay: float = 0.3
    eviction: float = 1.0
    home: float = 5.0
    risk: float = 0.0


DEFAULT_WEIGHTS = Weights()
CROWDED_FROM, CROWDED_UNTIL = 0.9, 1.2  # of a cache: from here to there a session's place grows unsafe
MOST_CACHED = 1  # token of a prompt is always read


def cost(ask: Ask, on: Standing, weights: Weights = DEFAULT_WEIGHTS) -> Terms:
    """Each term is seconds times its weight; their sum is the cost."""
    return tuple(zip(TERMS, seconds(ask, on, weights), strict=True))


def seconds(ask: Ask, on: Standing, weights: Weights = DEFAULT_WEIGHTS) -> Seconds:
    """The same without names: every request asks it of every engine, and nobody reads most of the answers. A term that
    is nothing is an integer 0, as in a standing."""
    rates, bias, prompt, output = on.rates, on.bias, ask.prompt_tokens, ask.output_tokens
    in_flight, decoding, kv_tokens, cached = on.in_flight, on.decoding, on.kv_tokens, on.cached_tokens
    slots, neighbours_step_s, wait_s = on.slots, on.neighbours_step_s, on.backlog_s
    step_s = neighbours_step_s
    if cached >= prompt:
        cached = max(prompt - MOST_CACHED, 0)
    own_s = rates.prompt_s(cached, prompt) * bias.prefill
    delay_s = eviction_s = home_s = 0.0
    if decoding:
        step_s += rates.decode_step_s(decoding, kv_tokens) * bias.decode
        delay_s = decoding * (own_s + output * rates.step_per_request_s * bias.decode)
    if step_s:
        wait_s += ceil((on.backlog_tokens + prompt - cached) / rates.chunk_tokens) * step_s
    beside = in_flight + 1 if in_flight < slots else slots
    token_s = rates.decode_step_s(beside, kv_tokens + prompt) * bias.decode + neighbours_step_s
    if in_flight >= slots or kv_tokens + prompt + output > on.cache_tokens:
        wait_s = max(wait_s, _turn_s(ask, on, token_s))
    if on.cache_tokens and (on.live_tokens or ask.multi_turn):
        eviction_s, home_s = _working_set_s(ask, on, cached)
    load_s, round_trip_s = on.load_s, on.round_trip_s
    return (
        wait_s,
        load_s,
        own_s + round_trip_s,
        weights.decode * output * token_s,
        weights.delay * delay_s if delay_s else 0,
        weights.eviction * eviction_s if eviction_s else 0,
        weights.home * home_s if home_s else 0,
        weights.risk * bias.spread * (load_s + wait_s + own_s + round_trip_s) if weights.risk else 0,
    )


def first_token_s(terms: Terms) -> float:
    """When the first token is expected, counted from the decision. These terms carry no weight."""
    return terms[0][1] + terms[1][1] + terms[2][1]


def until_first_token_s(amounts: Sequence[float]) -> float:
    """The same of terms without names."""
    return amounts[0] + amounts[1] + amounts[2]


def _turn_s(ask: Ask, on: Standing, token_s: float) -> float:
    """Until a slot and room in the cache are free, where all are taken."""
    missing = max((on.in_flight + 1 - on.slots) / on.slots, 0.0)
    if on.cache_tokens and on.in_flight:
        over = (on.kv_tokens + ask.prompt_tokens + ask.output_tokens - on.cache_tokens) / on.cache_tokens
        missing = max(missing, over)
    return missing * ask.output_tokens * token_s


def _working_set_s(ask: Ask, on: Standing, cached: int) -> tuple[float, float]:
    """What others would have to read again because of this request, and its own session because of others.

    Without these the engine that is fastest at this moment draws every long session, and they evict one another.
    """
    keeps = on.kept_tokens or on.cache_tokens
    after = on.live_tokens + ask.prompt_tokens + ask.output_tokens
    token_s = on.bias.prefill / on.rates.prefill
    brought = ask.prompt_tokens - cached + ask.output_tokens
    evicted = max(min(brought, after - keeps, float(on.live_tokens)), 0.0)
    if not ask.multi_turn:
        return evicted * token_s, 0.0
    crowded = (after / keeps - CROWDED_FROM) / (CROWDED_UNTIL - CROWDED_FROM)
    unsafe = min(max(crowded, 0.0), 1.0)
    return evicted * token_s, unsafe * on.rates.read_s(cached, ask.prompt_tokens) * on.bias.prefill
