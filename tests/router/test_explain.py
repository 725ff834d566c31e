"""The least change that turns a decision turns it, a step less does not, and both are said in words."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.snapshot import EngineId
from router.changes import STEPS, Change, changed, changes
from router.cost import Ask, Standing
from router.decision import Decision
from router.decision_record import decoded, encoded, record_of
from router.explain import Explanation, explain
from router.ranking import Contest, rank
from support.decisions import ASKS, CPU, GPU, NAMES, STANDINGS, UNMEASURED, counted, decision_of, note_of, on

A, B, C = NAMES[:3]
DECIDED = st.one_of(st.builds(decision_of, st.lists(STANDINGS, min_size=2, max_size=6), ASKS), UNMEASURED)


def contest_of(decision: Decision) -> Contest:
    assert decision.contest is not None
    return decision.contest


def explained(decision: Decision) -> Explanation:
    return explain(decoded(encoded(record_of(note_of(decision)))))


def steps_of(change: Change) -> int:
    return round((change.amount - (change.kind == "reading_rate")) / STEPS[change.kind])


def first_after(contest: Contest, change: Change, steps: int) -> EngineId:
    return rank(changed(contest, change.kind, change.engine_id, steps))[0].engine_id


@settings(deadline=None, max_examples=60)
@given(DECIDED)
def test_the_least_change_turns_the_decision_and_a_step_less_does_not(decision: Decision) -> None:
    contest, won = contest_of(decision), decision.ranked[0].engine_id
    found = changes(contest)

    assert [one.share for one in found] == sorted(one.share for one in found)
    for one in found:
        steps = steps_of(one)
        assert first_after(contest, one, steps) == one.winner != won
        before = first_after(contest, one, steps - 1)
        assert before == won if one.engine_id == won else before != one.winner
        assert one.engine_id in (won, one.winner)


@settings(deadline=None, max_examples=30)
@given(DECIDED)
def test_an_explanation_is_the_same_on_the_other_side_of_a_wire(decision: Decision) -> None:
    said = explained(decision)

    assert msgspec.json.decode(msgspec.json.encode(said), type=Explanation) == said


@settings(deadline=None, max_examples=30)
@given(st.lists(STANDINGS, min_size=2, max_size=4), ASKS)
def test_whoever_waits_long_enough_loses(standings: list[Standing], ask: Ask) -> None:
    decision = decision_of(standings, ask)
    (longer,) = [one for one in changes(contest_of(decision)) if one.kind == "longer_wait"]

    assert longer.engine_id == decision.ranked[0].engine_id


def test_an_explanation_has_the_ranking_the_margin_and_what_would_have_turned_it() -> None:
    decision = decision_of([on(backlog_s=1.0), on(CPU, cached_tokens=10)], Ask(1000, 100.0))
    said = explained(decision)

    assert [(one.engine_id, one.node_id, one.cached_tokens) for one in said.ranking] == [
        (A, "here", 0),
        (B, "here", 10),
    ]
    assert said.margin == decision.ranked[1].total_s - decision.ranked[0].total_s
    assert (said.chosen, said.reason, said.unit, said.as_good_as_equal) == (A, "least_cost", "s", False)
    for shown, score in zip(said.ranking, decision.ranked, strict=True):
        assert abs(sum(shown.terms.values()) - score.total_s) <= 1e-9
    kinds = {flip.kind: flip for flip in said.flips}
    assert kinds.keys() == {"longer_wait", "reading_rate", "cached_tokens"}
    assert kinds["longer_wait"].words == f"{B} wins if {A} waited {kinds['longer_wait'].amount:.3f} s longer"
    assert kinds["reading_rate"].words.startswith(f"{B} wins if its reading rate were ")
    assert kinds["cached_tokens"].words.endswith(" more tokens of the prompt were cached there")
    assert said.smallest == said.flips[0]


def test_a_busy_rival_wins_with_fewer_requests() -> None:
    busy = on(in_flight=12, decoding=10, kv_tokens=60_000, backlog_s=30.0, backlog_tokens=30_000)
    said = explained(decision_of([on(CPU), busy], Ask(2000, 100.0)))
    fewer = next(flip for flip in said.flips if flip.kind == "fewer_requests")

    assert (said.chosen, fewer.winner) == (A, B)
    assert 1 <= fewer.amount <= 12
    assert fewer.words == f"{B} wins if it had {fewer.amount:.0f} fewer requests in flight"


def test_where_nothing_is_measured_requests_are_what_can_turn_it() -> None:
    said = explained(counted({A: 1, B: 3}))

    assert (said.unit, said.reason, said.predicted_s) == ("requests per slot", "least_loaded", None)
    assert {flip.words for flip in said.flips} == {
        f"{B} wins if it had 3 fewer requests in flight",
        f"{B} wins if {A} had 3 more requests in flight",
    }


def test_a_turn_is_nobodys_to_change() -> None:
    said = explained(counted({A: 1, B: 3, C: 0}, "round-robin", turn=1))

    assert (said.chosen, said.reason, said.margin, said.unit) == (B, "round_robin", 1.0, "places")
    assert (said.smallest, said.flips) == (None, ())


def test_costs_that_are_as_good_as_equal_are_said_to_be() -> None:
    said = explained(decision_of([on(in_flight=1), on()]))

    assert (said.chosen, said.as_good_as_equal) == (B, True)
    assert said.margin is not None and said.margin < 0.05


def test_an_only_candidate_has_no_margin_and_nothing_turns_it() -> None:
    said = explained(decision_of([on(GPU)]))

    assert (said.reason, said.margin, said.flips) == ("only_fit", None, ())


def test_where_nobody_can_serve_the_reasons_are_all_there_is() -> None:
    decision = counted({A: 300})
    said = explain(record_of(note_of(decision, request_id="")))

    assert decision.reason == "nobody"
    assert (said.request_id, said.chosen, said.ranking, said.predicted_s) == (None, None, (), None)
    assert [(one.engine_id, one.why) for one in said.rejected] == [(A, "saturated: 300 requests in flight")]


def test_a_decision_by_other_rules_is_shown_as_it_was_without_what_would_turn_it() -> None:
    record = record_of(note_of(decision_of([on(), on(CPU)])))
    first, second = record.rows
    odd = msgspec.structs.replace(record, rows=(second, first))

    assert explain(odd).chosen == second.engine_id
    assert explain(odd).flips == ()
