"""What a request would cost on an engine, in seconds, term by term: an Ask and a Standing in, Terms out.

The terms are what this request waits for (`wait`, `load`, `prefill`, `decode`), what it does to others (`delay`,
`eviction`), what its session will pay later (`home`), and `risk`. None falls when an engine gets more to do.
"""

from collections.abc import Mapping
from math import ceil

import msgspec

from nodes.snapshot import EngineId
from router.decision import Terms
from router.rates import Bias, Rates


class Ask(msgspec.Struct, frozen=True):
    """A request as far as its cost goes."""

    prompt_tokens: int
    output_tokens: float  # expected
    multi_turn: bool = False  # its session will be back


class Standing(msgspec.Struct, frozen=True):
    """One engine at this moment, as this gateway accounts for it, towards one request."""

    rates: Rates
    cache_tokens: int  # what its cache is believed to hold
    slots: int
    bias: Bias = Bias()
    in_flight: int = 0
    decoding: int = 0  # of these
    kv_tokens: int = 0  # that those in flight hold or will hold
    backlog_s: float = 0.0  # to read what its machine has to read before this prompt
    backlog_tokens: int = 0
    neighbours_step_s: float = 0.0  # a decode step of the other engines on its machine
    live_tokens: int = 0  # of other sessions that live here and were active a moment ago
    cached_tokens: int = 0  # of this prompt
    load_s: float = 0.0  # until it serves at all
    round_trip_s: float = 0.0
    home: bool = False  # the request's session was served here last


class Prospect(msgspec.Struct, frozen=True):
    """A request and how each engine that may get it stands towards it."""

    ask: Ask
    standings: Mapping[EngineId, Standing]


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
    rates, prompt, output = on.rates, ask.prompt_tokens, ask.output_tokens
    cached = max(min(on.cached_tokens, prompt - MOST_CACHED), 0)
    own_s = rates.read_s(cached, prompt) * on.bias.prefill
    step_s = on.neighbours_step_s
    if on.decoding:
        step_s += rates.decode_step_s(on.decoding, on.kv_tokens) * on.bias.decode
    chunks = ceil((on.backlog_tokens + prompt - cached) / rates.chunk_tokens)
    beside = min(on.in_flight + 1, on.slots)
    token_s = rates.decode_step_s(beside, on.kv_tokens + prompt) * on.bias.decode + on.neighbours_step_s
    wait_s = max(on.backlog_s + chunks * step_s, _turn_s(ask, on, token_s))
    first_s = on.load_s + wait_s + own_s + on.round_trip_s
    delay_s = on.decoding * (own_s + output * rates.step_per_request_s * on.bias.decode)
    eviction_s, home_s = _working_set_s(ask, on, cached)
    return (
        ("wait", wait_s),
        ("load", on.load_s),
        ("prefill", own_s + on.round_trip_s),
        ("decode", weights.decode * output * token_s),
        ("delay", weights.delay * delay_s),
        ("eviction", weights.eviction * eviction_s),
        ("home", weights.home * home_s),
        ("risk", weights.risk * on.bias.spread * first_s),
    )


def first_token_s(terms: Terms) -> float:
    """When the first token is expected, counted from the decision. These terms carry no weight."""
    return terms[0][1] + terms[1][1] + terms[2][1]


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
    if not on.cache_tokens:
        return 0.0, 0.0
    after = on.live_tokens + ask.prompt_tokens + ask.output_tokens
    token_s = on.bias.prefill / on.rates.prefill
    brought = ask.prompt_tokens - cached + ask.output_tokens
    evicted = max(min(brought, after - on.cache_tokens, float(on.live_tokens)), 0.0)
    if not ask.multi_turn:
        return evicted * token_s, 0.0
    crowded = (after / on.cache_tokens - CROWDED_FROM) / (CROWDED_UNTIL - CROWDED_FROM)
    unsafe = min(max(crowded, 0.0), 1.0)
    return evicted * token_s, unsafe * on.rates.read_s(cached, ask.prompt_tokens) * on.bias.prefill
