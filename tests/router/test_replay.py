"""What is kept of a decision is enough to decide it again: the same winner, the same terms, in at most 2 kB."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.snapshot import EngineId
from router.cost import Standing, cost, first_token_s
from router.decision import Decision
from router.decision_record import LIMIT_BYTES, contest_of, decoded, encoded, packed, record_of, terms_of
from router.ranking import rank
from router.replay import replayed
from router.telemetry import decision_row_of
from support.decisions import CPU, DECISIONS, GPU, NAMES, STANDINGS, UNMEASURED, counted, decision_of, note_of, on
from support.leaks import CANARY

ANY = st.one_of(DECISIONS, UNMEASURED)


@settings(deadline=None)
@given(ANY)
def test_a_record_says_what_the_decision_said(decision: Decision) -> None:
    record = decoded(encoded(record_of(note_of(decision)), 10**6))

    assert [row.engine_id for row in record.rows] == [score.engine_id for score in decision.ranked]
    for row, score in zip(record.rows, decision.ranked, strict=True):
        assert terms_of(record, row) == score.terms
        assert abs(sum(seconds for _, seconds in score.terms) - row.total_s) <= 1e-9
    assert decision.contest is not None
    assert sorted(contest_of(record).contenders, key=lambda one: one.engine_id) == sorted(
        decision.contest.contenders, key=lambda one: one.engine_id
    )


@settings(deadline=None)
@given(ANY, st.integers(300, 4000))
def test_what_is_packed_at_once_is_what_its_record_says_in_as_little_room(decision: Decision, limit_bytes: int) -> None:
    note = note_of(decision)
    whole = record_of(note)

    assert decoded(packed(note, whole.predicted_s, limit_bytes)) == decoded(encoded(whole, limit_bytes))
    assert len(packed(note, whole.predicted_s, limit_bytes)) <= max(limit_bytes, 440)


@settings(deadline=None)
@given(ANY)
def test_any_record_replays_to_the_same_winner_and_the_same_terms(decision: Decision) -> None:
    note = note_of(decision)
    *_, body = decision_row_of(note)
    record = decoded(body)
    again = replayed(record)

    assert len(body) + len(f"{note.request_id}{note.model}{record.node_id}") <= LIMIT_BYTES
    assert (again.winner, again.differences) == (decision.ranked[0].engine_id, ())
    for place in rank(contest_of(record)):
        recorded = record.rows[place.at]
        assert abs(sum(seconds for _, seconds in place.terms) - recorded.total_s) <= 1e-9


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=8, max_size=8), st.integers(300, 2000), st.integers(0, 40))
def test_however_little_room_there_is_the_winner_stays_and_the_record_replays(
    standings: list[Standing], limit_bytes: int, rejections: int
) -> None:
    decision = decision_of(standings)
    out = [(EngineId(f"other-{number}"), "suspect: " + "x" * 200) for number in range(rejections)]
    whole = record_of(note_of(msgspec.structs.replace(decision, rejected=out)))
    body = encoded(whole, limit_bytes)
    kept = decoded(body)

    assert len(body) <= max(limit_bytes, 440)  # one candidate alone is what must be there
    assert replayed(kept).winner == decision.ranked[0].engine_id
    assert replayed(kept).differences == ()
    assert len(kept.rejected) + kept.rejected_more == rejections


def test_what_does_not_fit_goes_in_the_order_that_is_promised() -> None:
    decision = decision_of([on(backlog_s=number / 7, in_flight=number) for number in range(8)])
    out = [(EngineId(f"other-{number}"), "x" * 200) for number in range(20)]
    whole = record_of(note_of(msgspec.structs.replace(decision, rejected=out)))
    seen = []
    for limit in range(len(encoded(whole, 10**6)), 300, -1):
        kept = decoded(encoded(whole, limit))
        told = [bool(row.terms) for row in kept.rows]
        assert told == sorted(told, reverse=True)  # from the end of the ranking
        words = max((len(why) for _, why in kept.rejected), default=0)
        if (step := (words, len(kept.rejected), sum(told), len(told))) not in seen:
            seen.append(step)

    assert seen == [
        (200, 20, 8, 8),
        (48, 20, 8, 8),
        *((48, 8, terms, 8) for terms in range(8, 0, -1)),
        *((0, 0, 1, rows) for rows in range(8, 0, -1)),
    ]


def test_eight_machines_fit_with_all_their_terms_where_names_are_of_usual_length() -> None:
    busy = [
        on(GPU if number % 2 else CPU, in_flight=3, decoding=2, kv_tokens=9000, backlog_s=number / 3, live_tokens=4000)
        for number in range(8)
    ]
    *_, body = decision_row_of(note_of(decision_of(busy)))

    assert len(decoded(body).rows) == 8
    assert len(body) <= LIMIT_BYTES


def test_a_record_holds_the_prediction_for_whoever_was_chosen_whichever_policy_chose() -> None:
    decision = decision_of([on(CPU), on(GPU)], policy="round-robin", turn=0)
    record = record_of(note_of(decision, observed_s=7.5))
    assert decision.prospect is not None and decision.reason == "round_robin"
    chosen = decision.prospect.standings[EngineId(NAMES[0])]

    assert record.predicted_s == first_token_s(cost(decision.prospect.ask, chosen))
    assert record.observed_s == 7.5
    assert record_of(note_of(counted({"a": 1, "b": 0}))).predicted_s is None


def test_no_word_of_a_prompt_is_in_a_record() -> None:
    assert CANARY.encode() not in encoded(record_of(note_of(decision_of([on(), on(CPU)]))))


def test_what_would_be_decided_otherwise_is_told_term_by_term() -> None:
    record = record_of(note_of(decision_of([on(), on(CPU)])))
    slow, fast = record.rows[1], record.rows[0]
    assert fast.standing is not None
    slower = msgspec.structs.replace(fast.standing, rates=(10.0, *fast.standing.rates[1:]))
    odd = msgspec.structs.replace(record, rows=(msgspec.structs.replace(fast, standing=slower), slow))

    told = replayed(odd)
    assert told.winner == slow.engine_id
    assert told.differences[0] == f"{fast.engine_id} was chosen, now it is {slow.engine_id}"
    assert any(difference.startswith(f"{fast.engine_id}: prefill was 0.1") for difference in told.differences)


def test_what_no_potluck_wrote_is_no_record() -> None:
    with pytest.raises(msgspec.DecodeError):
        decoded(b"\x93\x01\x02\x03")
