"""What a configuration would change, as text."""

from collections.abc import Iterable

from cli.table import duration, mib_or_gib, printable, table
from cluster.plan_values import Arrival, ConfigPlan, EngineChange, PoolChange, Shortage

ENGINES = ("CHANGE", "ENGINE", "NEEDS", "LOADS IN", "WHY")


def plan_text(plan: ConfigPlan, columns: int | None = None) -> str:
    """Memory first, then engines, then what has no place and what has to come. Sections that are empty are left out."""
    against = f"against revision {plan.revision}" if plan.revision is not None else "for machines as they are described"
    changes = sorted(plan.engines, key=lambda one: (one.change == "stay", one.engine))
    parts = [
        against if plan.changes else f"{against}: no engine starts or stops",
        table(("NODE", "POOL", "BEFORE", "AFTER", "BUDGET"), [_pool(one) for one in plan.pools]) if plan.pools else "",
        table(ENGINES, [_engine(one) for one in changes], columns, ("LOADS IN",), ("WHY",)) if changes else "",
        _section("left out:", (f"{one.model}{_part(one)}: {one.reason}" for one in plan.left_out)),
        _section("would have more replicas with more room:", (_grows(one) for one in plan.could_grow)),
        _section("to come:", (_arrival(one) for one in plan.arrivals)),
        _section("asleep:", (f"{one.model}: {one.why}" for one in plan.asleep)),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(head: str, lines: Iterable[str]) -> str:
    told = [f"  {printable(line)}" for line in lines]
    return "\n".join([head, *told]) if told else ""


def _pool(one: PoolChange) -> tuple[str, ...]:
    budget = mib_or_gib(one.budget_bytes) if one.budget_bytes is not None else "cannot be read"
    return one.node, one.pools, _held(one.before_bytes), _held(one.after_bytes), budget


def _held(size_bytes: int) -> str:
    return mib_or_gib(size_bytes) if size_bytes else "-"


def _engine(one: EngineChange) -> tuple[str, ...]:
    starts = one.change in ("start", "restart")
    load = duration(one.load_s) if one.load_s is not None else "not measured" if starts else "-"
    # That it fits is what the memory above says; why one stops or starts again is worth a line.
    return one.change, one.engine, mib_or_gib(one.need_bytes), load, "" if one.change == "start" else one.why


def _part(one: Shortage) -> str:
    return f" ({one.placed} of {one.least})" if one.placed else ""


def _grows(one: Shortage) -> str:
    return f"{one.model} ({one.placed} of {one.most}): {one.reason}"


def _arrival(one: Arrival) -> str:
    size = mib_or_gib(one.size_bytes) if one.size_bytes is not None else "size not known yet"
    if one.holder is not None:
        return f"{one.model}, {size}: copied by itself from {one.holder} to {one.node}"
    verb = f"import {one.source.removeprefix('file:')}" if one.source.startswith("file:") else f"pull {one.source}"
    where = f" on {one.node}" if one.node else ""
    return f"{one.model}, {size}: run `potluck models {verb} --name {one.model}`{where}"
