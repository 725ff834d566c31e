import msgspec
from msgspec.structs import replace

from inventory.catalog import ModelName
from nodes.relay.contract import Address
from router.accounting import RECORD_VERSION
from router.call_report import MADE_WAY, CallReport
from router.decision import routing_table
from router.dialects import chat
from router.request import Arrival, Identity, Parsed
from router.scoring import decide
from router.token_ratio import TokenRatios
from router.usage import StreamTap, Tokens
from support.gateway import cluster_of, engine_at
from support.upstream import DONE, token_event, usage_event

IDENTITY = Identity("k1", "home", "7b", "user", "private", frozenset(), user="u-17")
ARRIVAL = Arrival("req_1", "mine", "chat", IDENTITY, arrived_s=10.0, arrived_wall_s=1_800_000_000.0)
KEY = b'"prompt_progress"'
BODY = b'{"model": "toy", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
ROUTES = routing_table(cluster_of([engine_at(Address("127.0.0.1", 1))])).models[ModelName("toy")]
(CANDIDATE,) = ROUTES.candidates
DECISION = decide(ROUTES, chat.parse(BODY), {CANDIDATE.engine_id: 1}, {})


def parsed(characters: int = 400, prompts: int = 1, choices: int = 1) -> Parsed:
    return replace(chat.parse(BODY), prompt_characters=characters, prompts=prompts, choices=choices)


def ended(ratios: TokenRatios, asked: Parsed, *events: bytes) -> tuple[int | None, int | None, int | None, bool]:
    """Tokens in, cached and out of a call whose stream was these events, and whether they are exact."""
    report, tap = CallReport(ARRIVAL, "toy", "toy", True), StreamTap(False, KEY)
    for event in events:
        tap.pass_on(event)
    report.heard(asked, tap if events else None)
    report.end("cancelled", 499, "client_closed", 12.0)
    record = report.record(ratios)
    assert (record.tenant, record.group, record.key_id, record.user) == ("home", "7b", "k1", "u-17")
    assert record.duration_s == 2.0
    return record.input_tokens, record.cached_tokens, record.output_tokens, record.tokens_exact


def progress(total: int, cache: int) -> bytes:
    told = {"choices": [], "prompt_progress": {"total": total, "cache": cache, "processed": cache}}
    return b"data: " + msgspec.json.encode(told) + b"\n\n"


def test_a_record_holds_every_fact_under_its_own_name() -> None:
    report = CallReport(ARRIVAL, "toy", "asked", True)
    report.priority, report.attempts = 3, 2
    report.decision, report.decision_s, report.queued_s, report.first_byte_s = DECISION, 0.25, 1.5, 11.0
    report.tokens = Tokens(31, 16, 7, 5, exact=True)
    report.end("timeout", 504, "engine_timeout", 14.0)
    assert msgspec.structs.asdict(report.record(TokenRatios())) == {
        "version": RECORD_VERSION, "request_id": "req_1", "client_request_id": "mine", "api": "chat",
        "tenant": "home", "key_id": "k1", "group": "7b", "data_class": "private", "priority": 3,
        "model_asked": "asked", "model": "toy", "stream": True, "arrived_wall_s": 1_800_000_000.0, "duration_s": 4.0,
        "status": 504, "outcome": "timeout", "error_code": "engine_timeout", "model_revision": CANDIDATE.revision,
        "node_id": CANDIDATE.node_id, "engine_id": CANDIDATE.engine_id, "generation": CANDIDATE.generation,
        "first_byte_s": 1.0, "attempts": 2, "route_reason": "only_fit", "route_terms": (("wait", 0.5),),
        "decision_s": 0.25, "queued_s": 1.5, "input_tokens": 31, "cached_tokens": 16, "output_tokens": 7,
        "user": "u-17", "tokens_exact": True, "reasoning_tokens": 5, "cache_hit": False, "side_call": None,
        "batch_id": None, "pii": "",
    }  # fmt: skip


def test_a_line_that_made_way_takes_nothing_of_its_keys_limits() -> None:
    class Permit:
        prompt_tokens = 90
        settled: int | None = None

        def settle(self, tokens: int) -> None:
            self.settled = tokens

    for code, taken in (("client_closed", 90), (MADE_WAY, 0)):
        report, permit = CallReport(ARRIVAL, "toy", "toy", False), Permit()
        report.permit, report.attempts = permit, 1  # type: ignore[assignment]  # all that a report asks of one
        report.end("cancelled", 499, code, 14.0)
        report.settle(TokenRatios())
        assert permit.settled == taken


def test_what_an_engine_counted_is_what_is_remembered() -> None:
    assert ended(TokenRatios(), parsed(), token_event("a"), usage_event(31, 7)) == (31, None, 7, True)


def test_of_a_stream_that_broke_off_output_is_what_came_and_input_what_was_told_on_the_way() -> None:
    assert ended(TokenRatios(), parsed(), progress(90, 36), token_event("a"), token_event("b")) == (90, 36, 2, False)
    assert ended(TokenRatios(), parsed(), progress(90, 36)) == (90, 36, None, False)


def test_where_nothing_is_told_input_is_judged_by_what_such_prompts_came_to_before() -> None:
    ratios = TokenRatios()
    assert ended(ratios, parsed(400), token_event("a")) == (100, None, 1, False)
    for _ in range(50):
        ended(ratios, parsed(400), token_event("a"), usage_event(200, 1))

    (judged, *_) = ended(ratios, parsed(400), token_event("a"))
    assert judged is not None and 190 <= judged <= 200
    (of_three, *_) = ended(ratios, parsed(400, prompts=3), token_event("a"))
    assert of_three == 3 * judged


def test_nothing_is_known_of_what_never_began_or_has_no_characters() -> None:
    assert ended(TokenRatios(), parsed()) == (None, None, None, False)
    assert ended(TokenRatios(), parsed(), token_event("")) == (None, None, None, False)
    assert ended(TokenRatios(), parsed(characters=0), token_event("a")) == (None, None, 1, False)


def test_several_answers_to_one_prompt_are_counted_together_and_the_prompt_once() -> None:
    counted = [usage_event(900, 3), usage_event(900, 4)]

    assert ended(TokenRatios(), parsed(choices=2), *counted) == (900, None, 7, True)
    assert ended(TokenRatios(), parsed(prompts=2), *counted) == (1800, None, 7, True)
    assert ended(TokenRatios(), parsed(choices=2), usage_event(900, 7), DONE) == (900, None, 7, True)


def test_a_count_of_some_answers_only_is_not_taken_for_one_of_all() -> None:
    events = (progress(900, 0), *[token_event("a")] * 5, usage_event(900, 2))

    assert ended(TokenRatios(), parsed(choices=2), *events) == (900, 0, 5, False)
