"""Which models a fleet could serve, as text."""

from collections.abc import Sequence

from cli.table import table
from cluster.fit_suggest import Option, Suggestion

HEADERS = ("MODEL", "CARRIES", "BESIDE IT", "WHERE (HOW MANY)")


def suggestion_text(found: Suggestion, columns: int | None = None) -> str:
    """The models, the largest first; then those that fit together, as a cluster.yaml."""
    asked = f"{found.users} at once, each with {found.context_tokens:,} tokens"
    if not found.options:
        return f"{asked}: no machine here could serve a known model to even one of them"
    parts = [
        f"{asked}; by memory alone: how fast they answer is not predicted",
        table(HEADERS, [_row(one, found.users) for one in found.options], columns, wrap=HEADERS[-1:]),
    ]
    if found.chosen:
        also = f"\n# Beside them there is room for {_listed(found.also)}." if found.also else ""
        parts.append(
            f"# The largest for each machine; `potluck config plan FILE` shows the memory.{also}\n{found.fragment}"
        )
    else:
        parts.append(f"no model here carries all {found.users} on one machine")
    return "\n\n".join(parts).rstrip()


def _row(one: Option, users: int) -> tuple[str, ...]:
    carries = "all" if one.fits else f"{min(one.users, users)} of {users}"
    where = ", ".join(f"{place.node} ({place.users:,})" for place in one.places)
    return one.model, carries, _listed(one.beside) if one.fits else "-", where


def _listed(names: Sequence[str]) -> str:
    """The first, which is the largest, and how many more."""
    if len(names) < 2:
        return "".join(names) or "nothing"
    return f"{names[0]} + {len(names) - 1}"
