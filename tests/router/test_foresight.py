"""What the gateway knows between a dispatch and an end, and that nothing of it is left over."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.rates import Rates
from nodes.snapshot import EngineId, NodeId
from router.cost import Ask, Standing, cost, first_token_s
from router.foresight import EngineFacts, Foresight, Question, Trip
from router.rates import Bias
from router.strangers import Report

GPU, MAC, BIG = EngineId("gpu/30b"), EngineId("mac/30b"), EngineId("mac/70b")
FAST = Rates(7500.0, 32_000.0, 0.0065, 0.00045, 1e-7)
SLOW = Rates(1000.0, 32_000.0, 0.0115, 0.002, 1e-7)


def facts(engine_id: EngineId, rates: Rates | None = FAST, generation: int = 1) -> EngineFacts:
    return EngineFacts(engine_id, NodeId(engine_id.split("/")[0]), rates, slots=8, cache_tokens=64_000,
                       generation=generation)  # fmt: skip


def foresight(*engines: EngineFacts) -> Foresight:
    known = Foresight(block_tokens=100)
    known.follow(engines or (facts(GPU), facts(MAC, SLOW), facts(BIG, SLOW)))
    return known


def question(tokens: int = 1000, chain: tuple[int, ...] = (), session: str | None = None) -> Question:
    return Question(tokens, "chat", None, chain, session)


def standing(known: Foresight, engine_id: EngineId, now_s: float, asked: Question | None = None) -> Standing:
    seen = known.prospect(asked or question(), [engine_id], now_s)
    assert seen is not None
    return seen.standings[engine_id]


def test_an_engine_that_was_not_measured_yet_leaves_the_decision_to_counts() -> None:
    known = foresight(facts(GPU), facts(MAC, None))

    assert known.prospect(question(), [GPU, MAC], 0.0) is None
    assert known.prospect(question(), [GPU], 0.0) is not None


def test_what_a_machine_has_to_read_is_waited_for_on_all_of_its_engines() -> None:
    known = foresight()
    known.dispatched(question(2000), MAC, 0.0)

    assert 1.9 < standing(known, MAC, 0.0).backlog_s < 2.2
    assert standing(known, BIG, 0.0).backlog_s == standing(known, MAC, 0.0).backlog_s
    assert standing(known, GPU, 0.0).backlog_s == 0.0
    assert 0.9 < standing(known, BIG, 1.0).backlog_s < 1.2
    assert 0.0 < standing(known, BIG, 100.0).backlog_s < 0.2  # it is not done before its first token is there


def test_a_prompt_that_was_read_decodes_until_it_ends() -> None:
    known = foresight()
    trip = known.dispatched(question(2000), MAC, 0.0)
    known.first_token(trip, 2.1)

    assert standing(known, MAC, 2.1).decoding == 1
    assert standing(known, MAC, 2.1).backlog_s == 0.0
    assert standing(known, BIG, 2.1).neighbours_step_s > 0.01
    known.ended(trip, 5.0, 100)
    assert standing(known, MAC, 5.0).in_flight == 0
    assert standing(known, BIG, 5.0).neighbours_step_s == 0.0


def test_a_whole_answer_whose_first_token_nobody_sees_is_believed_to_be_written_once_its_prompt_is_due() -> None:
    known = foresight()
    trips = [known.dispatched(question(2000), MAC, 0.0, whole=True) for _ in range(2)]
    due_s = SLOW.read_s(0, 2000)

    assert standing(known, MAC, 0.9 * due_s).decoding == 0
    assert standing(known, MAC, 1.5 * due_s).decoding == 1
    assert 0 < standing(known, MAC, 1.5 * due_s).backlog_s < due_s
    assert standing(known, MAC, 3 * due_s).decoding == 2
    assert standing(known, MAC, 3 * due_s).backlog_s == 0.0
    for trip in trips:
        known.ended(trip, 4 * due_s, 100)
    assert standing(known, MAC, 4 * due_s).in_flight == 0


def whole(
    known: Foresight, from_s: float, seconds: float, tokens: int, prompt: int, cached: int | None = None
) -> float:
    trip = known.dispatched(question(prompt), GPU, from_s, whole=True)
    known.ended(trip, from_s + seconds, tokens, cached)
    return from_s + seconds + 1.0


def test_whole_answers_teach_how_fast_an_engine_reads_where_that_is_most_of_them_and_writes_where_that_is() -> None:
    for slower in (0.5, 1.0, 2.0):
        known, now_s = foresight(), 0.0
        for _ in range(40):
            now_s = whole(known, now_s, slower * (FAST.read_s(0, 8000) + 9 * FAST.decode_step_s(1, 8000)), 10, 8000)
            now_s = whole(known, now_s, slower * (FAST.read_s(0, 100) + 399 * FAST.decode_step_s(1, 300)), 400, 100)

        assert abs(known.learnt()[GPU].bias.prefill / slower - 1) < 0.1
        assert abs(known.learnt()[GPU].bias.decode / slower - 1) < 0.1


def test_a_whole_answer_from_a_cached_prompt_does_not_make_an_engine_look_fast() -> None:
    known, now_s = foresight(), 0.0
    for _ in range(40):
        seconds = FAST.read_s(6000, 8000) + 9 * FAST.decode_step_s(1, 8000)
        now_s = whole(known, now_s, seconds, 10, 8000, cached=6000)

    assert abs(known.learnt()[GPU].bias.prefill - 1) < 0.1


def test_a_whole_answer_that_its_engine_did_not_count_teaches_nothing() -> None:
    known = foresight()
    known.ended(known.dispatched(question(8000), GPU, 0.0, whole=True), 9.0)

    assert known.learnt()[GPU].bias == Bias()


def test_it_knows_what_was_measured_only() -> None:
    known = foresight(facts(GPU), facts(MAC, None))

    assert [known.knows(engine_id) for engine_id in (GPU, MAC, BIG)] == [True, False, False]


def test_a_beginning_that_was_sent_somewhere_is_expected_in_its_cache() -> None:
    known = foresight()
    known.dispatched(question(1000, (1, 2, 3)), GPU, 0.0)

    asked = question(1000, (1, 2, 9))
    assert standing(known, GPU, 0.0, asked).cached_tokens == 200
    assert standing(known, MAC, 0.0, asked).cached_tokens == 0


def test_the_next_turn_of_a_session_finds_the_answer_to_its_last_one_cached() -> None:
    known = foresight()
    trip = known.dispatched(question(350, (1, 2, 3), "school:1"), GPU, 0.0)
    later = question(900, (1, 2, 3, 4, 5, 6, 7, 8, 9), "school:1")

    assert standing(known, GPU, 0.0, later).cached_tokens == 300
    known.first_token(trip, 0.1)
    known.ended(trip, 1.0, 260)
    assert standing(known, GPU, 1.0, later).cached_tokens == 600
    edited = question(900, (1, 2, 33, 44), "school:1")
    assert standing(known, GPU, 1.0, edited).cached_tokens == 200


def test_a_dispatch_continues_the_session_that_its_decision_recognised() -> None:
    known = foresight()
    first = known.dispatched(question(350, (1, 2, 3)), GPU, 0.0)
    later = question(900, (1, 2, 3, 4, 5))
    seen = known.prospect(later, [GPU, MAC], 1.0)
    assert seen is not None and seen.session_id == first.session_id

    assert known.dispatched(later, GPU, 1.0, seen).session_id == first.session_id
    assert known.dispatched(question(900, (7, 8)), GPU, 1.0).session_id != first.session_id


def test_a_session_lives_where_it_was_served_last() -> None:
    known = foresight()
    known.dispatched(question(session="school:1"), GPU, 0.0)

    assert standing(known, GPU, 1.0, question(session="school:1")).home
    assert standing(known, GPU, 1.0, question(session="school:1")).live_tokens == 0
    assert standing(known, GPU, 1.0, question(session="school:2")).live_tokens > 1000


def test_a_restart_empties_the_cache_and_keeps_what_was_learnt() -> None:
    known = foresight()
    serve(known, GPU, slower=2.0, requests=40)
    known.dispatched(question(1000, (1, 2, 3)), GPU, 1e6)
    learnt = known.learnt()[GPU].bias
    known.follow((facts(GPU, generation=2), facts(MAC, SLOW), facts(BIG, SLOW)))

    assert standing(known, GPU, 1e6, question(1000, (1, 2, 3))).cached_tokens == 0
    assert standing(known, GPU, 1e6).in_flight == 0
    assert known.learnt()[GPU].bias == learnt


def serve(known: Foresight, engine_id: EngineId, slower: float, requests: int) -> None:
    """One request after another, on an engine that is slower than believed by a factor."""
    rates = FAST if engine_id == GPU else SLOW
    now_s = 0.0
    for _ in range(requests):
        trip = known.dispatched(question(4000), engine_id, now_s)
        now_s += rates.read_s(0, 4000) * slower
        known.first_token(trip, now_s)
        now_s += 99 * rates.decode_step_s(1, 4200) * slower
        known.ended(trip, now_s, 100)
        now_s += 1.0


def test_an_engine_that_is_slower_or_faster_than_believed_is_learnt() -> None:
    for slower in (0.5, 1.0, 2.0):
        known = foresight()
        serve(known, GPU, slower, 40)

        assert abs(known.learnt()[GPU].bias.prefill / slower - 1) < 0.1
        assert abs(known.learnt()[GPU].bias.decode / slower - 1) < 0.1
        assert known.learnt()[MAC].bias == Bias()


def one_request(known: Foresight, engine_id: EngineId, from_s: float, slower: float) -> float:
    trip = known.dispatched(question(4000), engine_id, from_s)
    first_s = from_s + FAST.read_s(0, 4000) * slower
    known.first_token(trip, first_s)
    known.ended(trip, first_s + 99 * FAST.decode_step_s(1, 4200) * slower, 100)
    return first_s + 60.0


def test_an_engine_that_was_slow_once_is_hoped_to_be_quick_again_after_a_while_and_is_when_it_shows() -> None:
    known, now_s = foresight(msgspec.structs.replace(facts(GPU), bias=Bias(5.0, 5.0, 40, 40))), 0.0
    for minute in range(40):
        known.look_again(now_s := minute * 60.0)
    assert standing(known, GPU, now_s).bias.prefill < 1.5
    assert known.learnt()[GPU].bias.prefill == 5.0

    for _ in range(60):
        now_s = one_request(known, GPU, now_s, slower=1.0)
        assert standing(known, GPU, now_s).bias.prefill < 1.5
    assert known.learnt()[GPU].bias.prefill < 1.5


def test_one_that_is_still_slow_is_believed_so_after_one_request() -> None:
    known = foresight(msgspec.structs.replace(facts(GPU), bias=Bias(5.0, 5.0, 40, 40)))
    for minute in range(40):
        known.look_again(minute * 60.0)
    one_request(known, GPU, 2400.0, slower=5.0)

    assert standing(known, GPU, 2500.0).bias.prefill > 4.5


def reported(taken_at_s: float, running: int) -> EngineFacts:
    return msgspec.structs.replace(facts(GPU), report=Report(taken_at_s, running, 0))


def test_requests_from_elsewhere_cost_time_and_take_slots_beside_those_that_were_sent() -> None:
    known = foresight(facts(GPU))
    trip = known.dispatched(question(100), GPU, 0.0)
    alone = standing(known, GPU, 0.0)
    for second in (1.0, 2.0, 3.0):
        known.follow((reported(second, 8),))
        known.look_again(second)
    busy = standing(known, GPU, 3.0)

    assert (alone.in_flight, busy.in_flight, busy.decoding, busy.strangers) == (1, 8, 7, 7)
    assert first_token_s(cost(Ask(100, 100.0), busy)) > first_token_s(cost(Ask(100, 100.0), alone)) + 0.01
    known.look_again(4.5)
    assert standing(known, GPU, 4.5).strangers_age_s == 1.5

    known.first_token(trip, 5.0)
    known.ended(trip, 6.0, 10)
    known.follow((reported(7.0, 0),))
    known.look_again(7.0)
    left = standing(known, GPU, 7.0)
    assert (left.in_flight, left.decoding, left.strangers) == (0, 0, 0)


def test_what_the_gateway_sent_and_has_back_is_not_counted_again_because_a_report_is_old() -> None:
    known = foresight(facts(GPU))
    for second in range(1, 20):
        trips = [known.dispatched(question(100), GPU, second + 0.1) for _ in range(4)]
        for trip in trips:
            known.ended(trip, second + 0.2, 10)
        known.follow((reported(float(second), 4),))
        known.look_again(second + 0.3)

        assert standing(known, GPU, second + 0.3).strangers == 0


def test_an_engine_that_works_is_left_alone() -> None:
    known = foresight()
    known.look_again(0.0)
    known.dispatched(question(4000), GPU, 0.0)
    known.look_again(10_000.0)

    assert standing(known, GPU, 10_000.0).bias == Bias()


def test_what_was_cached_after_all_does_not_make_an_engine_look_fast() -> None:
    known, now_s = foresight(), 0.0
    for _ in range(40):
        trip = known.dispatched(question(4000), GPU, now_s)
        now_s += FAST.read_s(2000, 4000)
        known.first_token(trip, now_s)
        known.ended(trip, now_s, 1, cached=2000)

    assert abs(known.learnt()[GPU].bias.prefill - 1) < 0.05


def ask(known: Foresight, asked: Question, now_s: float, cached: int | None) -> None:
    trip = known.dispatched(asked, GPU, now_s)
    known.ended(trip, now_s + 1, 10, cached)


def test_an_engine_that_had_less_cached_than_believed_is_believed_to_keep_less_from_then_on() -> None:
    known, asked = foresight(), question(20_000, tuple(range(200)))
    ask(known, asked, 0.0, cached=0)
    assert standing(known, GPU, 2.0).kept_tokens == 64_000
    ask(known, asked, 2.0, cached=100)

    assert standing(known, GPU, 4.0).kept_tokens == 64_000 - 19_900
    assert standing(known, GPU, 4.0).cache_tokens == 64_000
    assert standing(known, MAC, 4.0).kept_tokens == 64_000
    assert known.learnt()[GPU].kept == (64_000 - 19_900) / 64_000


def test_an_engine_that_does_not_tell_what_it_had_cached_is_believed_as_before() -> None:
    known, asked = foresight(), question(20_000, tuple(range(200)))
    for now_s in (0.0, 2.0, 4.0):
        ask(known, asked, now_s, cached=None)

    assert standing(known, GPU, 6.0).kept_tokens == 64_000


def test_what_a_cache_keeps_outlives_a_restart_and_holds_for_the_size_that_it_is_said_to_have() -> None:
    known, asked = foresight(), question(20_000, tuple(range(200)))
    ask(known, asked, 0.0, cached=0)
    ask(known, asked, 2.0, cached=0)
    known.follow((facts(GPU, generation=2),))
    assert standing(known, GPU, 4.0).kept_tokens == 44_000

    known.follow((msgspec.structs.replace(facts(GPU, generation=3), cache_tokens=32_000),))
    assert standing(known, GPU, 4.0).kept_tokens == 32_000
    known.follow((msgspec.structs.replace(facts(GPU, generation=4), kept=0.5),))
    assert standing(known, GPU, 4.0).kept_tokens == 32_000


EVENTS = st.lists(
    st.tuples(st.sampled_from(["send", "first", "end", "abort", "die"]), st.integers(0, 9), st.floats(0, 5)),
    max_size=80,
)


@settings(deadline=None)
@given(EVENTS)
def test_accounts_return_to_zero_after_any_mix_of_ends_aborts_and_deaths(events: list[tuple[str, int, float]]) -> None:
    known, open_trips, now_s, generation = foresight(), list[Trip](), 0.0, 1
    engines = (GPU, MAC, BIG)
    for what, which, passed_s in events:
        now_s += passed_s
        if what == "send":
            open_trips.append(known.dispatched(question(100 * (which + 1)), engines[which % 3], now_s))
        elif what == "die":
            generation += 1
            known.follow((facts(GPU, generation=generation), facts(MAC, SLOW), facts(BIG, SLOW)))
        elif open_trips:
            trip = open_trips[which % len(open_trips)]
            if what == "first":
                known.first_token(trip, now_s)
            else:
                open_trips.remove(trip)
                known.ended(trip, now_s, 50 if what == "end" else None)
    for trip in open_trips:
        known.ended(trip, now_s)

    for engine_id in engines:
        left = standing(known, engine_id, now_s)
        assert (left.in_flight, left.decoding, left.kv_tokens, left.backlog_tokens) == (0, 0, 0, 0)
        assert abs(left.backlog_s) + left.neighbours_step_s < 1e-9
