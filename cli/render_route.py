"""Decisions as text and as JSON: why one was made, what differs when they are made anew, how good predictions were."""

from collections.abc import Sequence

import msgspec

from cli.table import instant, printable, table
from router.accuracy import Accuracy
from router.explain import Explanation, Ranked, names_of
from router.policies import UNDRAWN
from router.replay import ReplayedAll

SHOWN_FROM = 0.0005  # of a unit: a term that rounds to nothing for everybody is no column
FEW_FLIPS = 6


def explanation_text(said: Explanation, columns: int | None = None) -> str:
    """Who was chosen and by how much, then everybody with the terms that matter, then who was left out."""
    parts = [
        "\n".join(
            line
            for line in (_head(said), _side_call(said), _documents(said), _first_token(said), *_margin(said))
            if line
        ),
        _ranking(said, columns) if said.ranking else "",
        _rejected(said, columns) if said.rejected else "",
    ]
    return "\n\n".join(part for part in parts if part)


def explanation_document(said: Explanation) -> dict[str, object]:
    built = msgspec.to_builtins(said)
    assert isinstance(built, dict)
    return built


def replay_text(found: ReplayedAll) -> str:
    lines = [
        f"{found.decisions:,} decisions: {found.agree:,} with the same winner, "
        f"{found.decisions - len(found.different):,} the same to the last term"
    ]
    for different in found.different:
        record = different.record
        lines.append(f"{record.request_id}  {instant(record.decided_wall_s)}  {printable(record.model)}")
        lines += [f"  {printable(line)}" for line in different.replayed.differences]
    return "\n".join(lines)


def replay_document(found: ReplayedAll) -> dict[str, object]:
    return {
        "decisions": found.decisions,
        "same_winner": found.agree,
        "same": found.decisions - len(found.different),
        "different": [
            {
                "request_id": one.record.request_id,
                "model": one.record.model,
                "was": one.record.rows[0].engine_id,
                "is": one.replayed.winner,
                "differences": list(one.replayed.differences),
            }
            for one in found.different
        ],
    }


def accuracy_text(rows: Sequence[Accuracy]) -> str:
    headers = ("NODE", "REQUESTS", "OBSERVED/PREDICTED", "ERROR", "P90")
    return table(headers, [_accuracy(one) for one in rows])


def accuracy_document(rows: Sequence[Accuracy]) -> dict[str, object]:
    return {"nodes": [one._asdict() for one in rows]}


def _head(said: Explanation) -> str:
    parts = [f"{said.request_id}  {instant(said.decided_wall_s)}" if said.request_id else "dry run", said.model]
    if said.prompt_tokens is not None:
        parts.append(f"{said.prompt_tokens:,} prompt tokens, about {said.output_tokens or 0:,.0f} to answer")
    chosen = f"{said.chosen} on {said.node_id}" if said.chosen else "nobody"
    tries = f", try {said.tries}" if said.tries > 1 else ""
    return f"{printable('  '.join(parts))}\n-> {printable(chosen)} ({said.reason}, policy {said.policy}{tries})"


def _documents(said: Explanation) -> str:
    return printable(f"documents added {said.documents}") if said.documents else ""


def _side_call(said: Explanation) -> str:
    return printable(f"side call {said.side_call}") if said.side_call else ""


def _first_token(said: Explanation) -> str:
    told = []
    if said.predicted_s is not None:
        told.append(f"predicted after {said.predicted_s:.2f} s")
    if said.observed_s is not None:
        told.append(f"observed after {said.observed_s:.2f} s")
    return f"first token: {', '.join(told)}" if told else ""


def _margin(said: Explanation) -> list[str]:
    if said.margin is None:
        return []
    second = names_of(said.ranking)[said.ranking[1].engine_id]
    ahead = f"{said.margin:.3f} {said.unit} ahead of {second}"
    equal = f"as good as equal with {second}: the session's home decides, then who has less to do and to keep"
    lines = [printable(equal if said.as_good_as_equal else ahead)]
    if said.smallest is None:
        return [*lines, "no single change of load, wait, cache or reading rate turns it"]
    others = [flip.words for flip in said.flips[1:FEW_FLIPS]]
    return [*lines, printable(f"smallest change: {said.smallest.words}"), *(printable(f"  or {one}") for one in others)]


def _ranking(said: Explanation, terminal: int | None) -> str:
    """Columns in which everybody has nothing are left out."""
    names = [
        name
        for name in dict.fromkeys(name for one in said.ranking for name in one.terms)
        if any(abs(one.terms.get(name, 0.0)) >= SHOWN_FROM for one in said.ranking)
    ]
    columns: list[tuple[str, list[str]]] = [
        ("ENGINE", [one.engine_id for one in said.ranking]),
        ("NODE", [one.node_id for one in said.ranking]),
        (f"COST {said.unit}", [_figure(one.total) for one in said.ranking]),
        *((name.upper(), [_figure(one.terms.get(name, 0.0)) for one in said.ranking]) for name in names),
        ("IN FLIGHT", [f"{one.in_flight} of {one.slots}" for one in said.ranking]),
    ]
    if any(one.strangers for one in said.ranking):
        columns.append(("OF OTHERS", [_others(one) for one in said.ranking]))
    if any(one.cached_tokens is not None for one in said.ranking):
        columns.append(("CACHED", [_count(one.cached_tokens) for one in said.ranking]))
    if any(one.home for one in said.ranking):
        columns.append(("SESSION", ["lives here" if one.home else "" for one in said.ranking]))
    least_telling = ("NODE", "OF OTHERS", "SESSION", "CACHED", *(name.upper() for name in reversed(names)))
    rows = list(zip(*(cells for _, cells in columns), strict=True))
    shown = table([header for header, _ in columns], rows, terminal, least_telling)
    more = said.candidates - len(said.ranking)
    return f"{shown}\nand {more} more, for which the record had no room" if more else shown


def _others(one: Ranked) -> str:
    return f"{one.strangers}, {one.strangers_age_s:.1f} s ago" if one.strangers else ""


def _count(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens:,}"


def _figure(value: float) -> str:
    return f"{value:.3f}" if value < UNDRAWN else "not drawn"


def _rejected(said: Explanation, columns: int | None) -> str:
    shown = table(("LEFT OUT", "WHY"), [(one.engine_id, one.why) for one in said.rejected], columns, wrap=("WHY",))
    return f"{shown}\nand {said.rejected_more} more" if said.rejected_more else shown


def _accuracy(one: Accuracy) -> tuple[str, ...]:
    errors = _percent(one.median_error), _percent(one.p90_error)
    return one.node_id, f"{one.requests:,}", f"{one.median_ratio:.2f}", *errors


def _percent(share: float) -> str:
    return f"{share:.0%}"
