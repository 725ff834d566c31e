"""What the gateway knows between a dispatch and an end, and that nothing of it is left over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.snapshot import EngineId, NodeId
from router.cost import Standing
from router.foresight import EngineFacts, Foresight, Question, Trip
from router.rates import Bias, Rates

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
    learnt = known.biases()[GPU]
    known.follow((facts(GPU, generation=2), facts(MAC, SLOW), facts(BIG, SLOW)))

    assert standing(known, GPU, 1e6, question(1000, (1, 2, 3))).cached_tokens == 0
    assert standing(known, GPU, 1e6).in_flight == 0
    assert known.biases()[GPU] == learnt


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

        assert abs(known.biases()[GPU].prefill / slower - 1) < 0.1
        assert abs(known.biases()[GPU].decode / slower - 1) < 0.1
        assert known.biases()[MAC] == Bias()


def test_what_was_cached_after_all_does_not_make_an_engine_look_fast() -> None:
    known, now_s = foresight(), 0.0
    for _ in range(40):
        trip = known.dispatched(question(4000), GPU, now_s)
        now_s += FAST.read_s(2000, 4000)
        known.first_token(trip, now_s)
        known.ended(trip, now_s, 1, cached=2000)

    assert abs(known.biases()[GPU].prefill - 1) < 0.05


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
