"""A recorded decision decided anew: who wins now, and what is not as it was."""

from collections.abc import Iterable
from typing import NamedTuple

from nodes.snapshot import EngineId
from router.decision_record import DecisionRecord, Row, contest_of, terms_of
from router.ranking import Place, rank

SAME_S = 1e-9


class Replayed(NamedTuple):
    """`differences` is empty where the decision is the same to the last term, however far down the ranking."""

    winner: EngineId
    differences: tuple[str, ...]


class Different(NamedTuple):
    record: DecisionRecord
    replayed: Replayed


class ReplayedAll(NamedTuple):
    """`agree` are those with the same winner; `different` those with anything else than before."""

    decisions: int
    agree: int
    different: tuple[Different, ...]


def replay_all(records: Iterable[DecisionRecord]) -> ReplayedAll:
    count = agree = 0
    different = []
    for record in records:
        again = replayed(record)
        count += 1
        agree += again.winner == record.rows[0].engine_id
        if again.differences:
            different.append(Different(record, again))
    return ReplayedAll(count, agree, tuple(different))


def replayed(record: DecisionRecord) -> Replayed:
    """By what is recorded, and by the rules and weights of this potluck."""
    places = rank(contest_of(record))
    then, now = [row.engine_id for row in record.rows], [place.engine_id for place in places]
    differences = []
    if now[0] != then[0]:
        differences.append(f"{then[0]} was chosen, now it is {now[0]}")
    elif now != then:
        differences.append(f"the ranking was {', '.join(then)}, now it is {', '.join(now)}")
    for place in sorted(places, key=lambda one: one.at):
        differences += _changed(record, record.rows[place.at], place)
    return Replayed(now[0], tuple(differences))


def _changed(record: DecisionRecord, row: Row, place: Place) -> list[str]:
    """Terms of one engine that are not what they were; its cost alone, where the terms did not fit into the record."""
    before = terms_of(record, row)
    was, now = dict(before or (("cost", row.total_s),)), dict(place.terms if before else (("cost", place.total_s),))
    return [
        f"{row.engine_id}: {name} was {_said(was.get(name))}, now it is {_said(now.get(name))}"
        for name in dict.fromkeys((*was, *now))
        if _differ(was.get(name), now.get(name))
    ]


def _differ(was: float | None, now: float | None) -> bool:
    return was is None or now is None or abs(was - now) > SAME_S


def _said(value: float | None) -> str:
    return "absent" if value is None else f"{value:.6g}"
