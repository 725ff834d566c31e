"""Conversations: known by name or by what they continue, and alive only while they are likely to be back."""

from nodes.snapshot import EngineId
from router.sessions import ACTIVE_S, MOST_SESSIONS, SessionId, Sessions, Stay

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
