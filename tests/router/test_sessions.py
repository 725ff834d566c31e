"""Conversations: known by name or by what they continue, and alive only while they are likely to be back."""

from hypothesis import given
from hypothesis import strategies as st

from nodes.snapshot import EngineId
from router.sessions import ACTIVE_S, LEAST_ACTIVE_S, MOST_SESSIONS, PATIENCE, SessionId, Sessions, Stay

MAC, GPU = EngineId("mac"), EngineId("gpu")


def turn(sessions: Sessions, name: str | None, chain: tuple[int, ...], engine: EngineId, now_s: float) -> SessionId:
    known = sessions.recognise(name, chain)
    return sessions.settle(known, name, chain, Stay(engine, 1000, now_s))


def test_a_named_session_is_known_wherever_it_went() -> None:
    sessions = Sessions()
    first = turn(sessions, "school:1", (1, 2), MAC, 0.0)

    assert turn(sessions, "school:1", (9,), GPU, 1.0) == first
    session = sessions.get(first)
    assert session is not None
    assert (session.engine_id, session.turns) == (GPU, 2)


def test_a_prompt_that_continues_an_earlier_one_is_its_session() -> None:
    sessions = Sessions()
    first = turn(sessions, None, (1, 2, 3), MAC, 0.0)

    assert sessions.recognise(None, (1, 2, 3, 4, 5)) == first
    assert sessions.recognise(None, (1, 2, 7, 8)) is None  # only what both begin with
    assert sessions.recognise(None, (1, 2, 3)) is None  # the same text again: somebody else may ask about it


def test_a_session_counts_where_it_was_last() -> None:
    sessions = Sessions()
    mine = turn(sessions, "a", (), MAC, 0.0)
    turn(sessions, "b", (), MAC, 0.0)

    assert sessions.live_tokens(MAC, 1.0) == 2000
    assert sessions.live_tokens(MAC, 1.0, but=mine) == 1000
    turn(sessions, "a", (), GPU, 2.0)
    assert sessions.live_tokens(MAC, 2.0) == 1000
    assert sessions.live_tokens(GPU, 2.0) == 1000


def test_it_is_forgotten_as_alive_a_while_after_its_last_answer() -> None:
    sessions = Sessions()
    session = turn(sessions, "a", (), MAC, 0.0)
    sessions.touch(session, 50.0)

    assert sessions.live_tokens(MAC, 50.0 + ACTIVE_S) == 1000
    assert sessions.live_tokens(MAC, 51.0 + ACTIVE_S) == 0


def conversation(sessions: Sessions, name: str, pause_s: float, turns: int = 5, answer_s: float = 2.0) -> float:
    """Turns with the same pause between them, all on one engine. Returns when the last answer ended."""
    now_s = 0.0
    for number in range(turns):
        now_s += pause_s if number else 0.0
        session = turn(sessions, name, (), MAC, now_s)
        now_s += answer_s
        sessions.touch(session, now_s)
    return now_s


def test_who_comes_back_at_once_each_time_has_ended_sooner_than_who_takes_his_time() -> None:
    for pause_s, expected_s in ((1.0, LEAST_ACTIVE_S), (10.0, PATIENCE * 10.0), (80.0, ACTIVE_S)):
        sessions = Sessions()
        ended_s = conversation(sessions, "a", pause_s)

        assert sessions.live_tokens(MAC, ended_s + expected_s - 0.1) == 1000
        assert sessions.live_tokens(MAC, ended_s + expected_s + 0.1) == 0


def test_a_pause_that_grows_is_learnt_within_a_few_turns() -> None:
    sessions = Sessions()
    now_s = conversation(sessions, "a", 1.0, turns=20)
    for _ in range(3):
        now_s += 12.0
        sessions.touch(turn(sessions, "a", (), MAC, now_s), now_s)

    assert sessions.live_tokens(MAC, now_s + 24.0) == 1000


def test_one_that_is_answered_lives_however_long_that_takes() -> None:
    sessions = Sessions()
    ended_s = conversation(sessions, "a", 1.0)
    first, second = (turn(sessions, "a", (), MAC, ended_s + 1.0) for _ in range(2))

    assert sessions.live_tokens(MAC, ended_s + 10 * ACTIVE_S) == 1000
    sessions.touch(first, ended_s + 10 * ACTIVE_S)
    assert sessions.live_tokens(MAC, ended_s + 20 * ACTIVE_S) == 1000
    sessions.touch(second, ended_s + 20 * ACTIVE_S)
    assert sessions.live_tokens(MAC, ended_s + 21 * ACTIVE_S) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("turn", "end", "gone", "look")),
            st.sampled_from("abc"),
            st.sampled_from((MAC, GPU)),
            st.floats(0.0, 60.0),
        ),
        max_size=60,
    )
)
def test_what_lives_on_an_engine_is_the_sum_of_those_that_were_last_there_and_are_due(
    events: list[tuple[str, str, EngineId, float]],
) -> None:
    sessions, now_s, where = Sessions(), 0.0, dict[str, EngineId]()
    for event, name, engine, passed_s in events:
        now_s += passed_s
        known = sessions.recognise(name, ())
        if event == "turn":
            before = sessions.get(known)
            soon = before is None or now_s - before.active_s <= ACTIVE_S
            turn(sessions, name, (), engine, now_s)
            where.pop(name, None)
            if soon:
                where[name] = engine
        elif event == "end" and known is not None:
            sessions.touch(known, now_s)
        elif event == "gone":
            sessions.engine_gone(engine)
            where = {one: at for one, at in where.items() if at != engine}
        for one in list(where):
            session = sessions.get(sessions.recognise(one, ()))
            assert session is not None
            if session.until_s < now_s and not session.in_flight:
                del where[one]
        for at in (MAC, GPU):
            assert sessions.live_tokens(at, now_s) == 1000 * sum(1 for one in where.values() if one == at)


def test_a_prompt_without_a_name_counts_once_it_came_back_soon() -> None:
    sessions = Sessions()
    first = turn(sessions, None, (1,), MAC, 0.0)

    assert sessions.live_tokens(MAC, 0.0) == 0
    assert not sessions.comes_back(None, None, 0.0)
    assert sessions.comes_back(first, None, ACTIVE_S)
    assert not sessions.comes_back(first, None, ACTIVE_S + 1)
    turn(sessions, None, (1, 2), MAC, 5.0)
    assert sessions.live_tokens(MAC, 5.0) == 1000


def test_whoever_names_a_session_means_to_come_back() -> None:
    assert Sessions().comes_back(None, "a", 0.0)


def test_an_engine_that_is_gone_holds_nothing() -> None:
    sessions = Sessions()
    turn(sessions, "a", (), MAC, 0.0)
    sessions.engine_gone(MAC)

    assert sessions.live_tokens(MAC, 0.0) == 0


def test_no_more_sessions_are_kept_than_allowed() -> None:
    sessions = Sessions()
    for number in range(MOST_SESSIONS + 10):
        turn(sessions, f"s{number}", (), MAC, float(number) / 1000)

    assert sessions.recognise("s0", ()) is None
    assert sessions.live_tokens(MAC, 9.0) == MOST_SESSIONS * 1000


def test_a_client_cannot_take_the_name_of_a_session_without_one() -> None:
    sessions = Sessions()
    unnamed = turn(sessions, None, (1, 2), MAC, 0.0)

    assert sessions.recognise(str(unnamed), ()) is None
