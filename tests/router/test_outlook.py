"""What is asked of foresight about a call: its conversation, the beginning of its prompt, and the engines' facts."""

from dataclasses import replace

import msgspec
import pytest

from inventory.catalog import ModelName
from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import EngineLoad
from router.decision import routing_table
from router.dialects import chat, completions
from router.dispatcher import session_of
from router.outlook import facts_of, question_of
from router.prefix_index import BLOCK_TOKENS
from router.rates import Bias, Learnt
from router.request import Arrival, Identity, InferenceRequest, Parsed
from router.strangers import Report
from support.gateway import cluster_of, engine_at

RATES = Rates(1000.0, 20_000.0, 0.01, 0.001, 0.0)
WORDS = "what was said before " * 100


def messages(*texts: str, **fields: object) -> bytes:
    told = [{"role": "assistant" if turn % 2 else "user", "content": text} for turn, text in enumerate(texts)]
    return msgspec.json.encode({"model": "toy", "messages": told, **fields})


def request(parsed: Parsed, tenant: str = "default", session: str | None = None) -> InferenceRequest:
    who = Identity("k1", tenant, "default", "user", "private", frozenset({"inference"}))
    arrival = Arrival("r1", None, "chat", who, 0.0, 0.0, session)
    return InferenceRequest(arrival, ModelName("toy"), parsed, parsed.prompt_characters // 4)


def shared(one: bytes, other: bytes, tenant: str = "default") -> int:
    """Tokens with which both begin, as an index of blocks would find them."""
    chains = [
        question_of(request(chat.parse(body), whose), choice=True).chain
        for body, whose in ((one, "default"), (other, tenant))
    ]
    same: list[bool] = [a == b for a, b in zip(*chains, strict=False)]
    return BLOCK_TOKENS * sum(same)


def test_a_conversation_that_goes_on_begins_with_what_it_was() -> None:
    before, after = messages(WORDS, "an answer"), messages(WORDS, "an answer", "and now?")

    assert shared(before, after) > 0.9 * len(WORDS) / 4 - BLOCK_TOKENS
    assert shared(before, messages("other " + WORDS)) == 0


def test_tools_are_read_first() -> None:
    tool = {"type": "function", "function": {"name": "look", "description": WORDS}}

    assert shared(messages("one", tools=[tool]), messages("two", tools=[tool])) > 0.8 * len(WORDS) / 4
    assert shared(messages(WORDS, tools=[tool]), messages(WORDS)) == 0


def test_nobody_finds_the_beginnings_of_another_tenant() -> None:
    assert shared(messages(WORDS), messages(WORDS)) > 0
    assert shared(messages(WORDS), messages(WORDS), tenant="other") == 0


def test_where_there_is_no_choice_no_text_is_looked_at() -> None:
    assert question_of(request(chat.parse(messages(WORDS))), choice=False).chain == ()


def test_a_completion_has_a_beginning_too() -> None:
    body = msgspec.json.encode({"model": "toy", "prompt": WORDS})

    assert len(question_of(request(completions.parse(body)), choice=True).chain) == len(WORDS) // 256


@pytest.mark.parametrize("name", ["session-id", "x-session-id", "x-claude-code-session-id", "x-openwebui-chat-id"])
def test_clients_name_their_conversations_in_headers(name: str) -> None:
    assert session_of({name.encode(): b"c-17", b"accept": b"*/*"}) == "c-17"


def test_a_header_comes_before_the_key_of_a_cache_and_both_belong_to_whoever_asks() -> None:
    keyed = chat.parse(messages("hello", prompt_cache_key="cache-1"))

    assert session_of({}) is None
    assert question_of(request(keyed), choice=True).session == "k1  cache-1"
    assert question_of(request(keyed, session="c-17"), choice=True).session == "k1  c-17"
    assert question_of(request(chat.parse(messages("hello"))), choice=True).session is None


def test_what_was_learnt_holds_for_the_rates_that_it_corrects() -> None:
    engine = replace(engine_at(Address("127.0.0.1", 1)), rates=RATES)
    (candidate,) = routing_table(cluster_of([engine])).names["toy"].candidates
    engine_id, bias = candidate.engine_id, Bias(prefill=2.0, prefill_samples=9)
    other = msgspec.structs.replace(RATES, prefill=10.0)

    assert [one.bias for one in facts_of([candidate], {engine_id: Learnt(RATES, bias)})] == [bias]
    assert [one.bias for one in facts_of([candidate], {engine_id: Learnt(other, bias)})] == [Bias()]
    assert [one.rates for one in facts_of([candidate], {})] == [RATES]


def test_how_busy_an_engine_says_it_is_comes_with_the_time_of_its_machines_report() -> None:
    silent = replace(engine_at(Address("h", 1)), rates=RATES)
    busy = replace(silent, load=EngineLoad(running=3, waiting=2, slots=4))
    facts = [
        one
        for engine in (silent, busy)
        for one in facts_of(routing_table(cluster_of([engine])).names["toy"].candidates, {})
    ]

    assert [one.report for one in facts] == [None, Report(100.0, 3, 2)]


def test_what_a_cache_was_seen_to_keep_holds_for_the_size_that_it_is_said_to_have() -> None:
    candidate = (
        routing_table(cluster_of([replace(engine_at(Address("h", 1)), rates=RATES)]))
        .models[ModelName("toy")]
        .candidates[0]
    )
    size = candidate.slots * candidate.context_tokens
    kept = {tokens: Learnt(RATES, Bias(), tokens, kept=0.5) for tokens in (size, size + 1)}

    for tokens, learnt in kept.items():
        (facts,) = facts_of([candidate], {candidate.engine_id: learnt})
        assert facts.kept == (0.5 if tokens == size else 1.0)
