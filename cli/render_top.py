"""`potluck top` as text: the state of a cluster in, one screen out."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from cli.gateway_state import Seen
from cli.table import instant, printable, table
from router.dashboard.live import Figures
from router.dashboard.memory import Pool
from router.dashboard.state import Engine, Node, State

GIB = 1 << 30
SHADES = (("█", "weights"), ("▓", "KV"), ("▒", "engine"), ("·", "free"))
BAR, NARROW_BAR = 24, 12
ROOMY_COLUMNS = 110
EVENTS = 5

NODES = ("NODE", "STATE", "POOL", "MEMORY", "GiB OF BUDGET", "RUN", "WAIT", "TOK/S", "TTFT P95")
NODES_DROP = ("POOL", "WAIT", "STATE", "MEMORY", "TTFT P95")
MODELS = ("MODEL", "STATE", "RUN", "WAIT", "TOK/S", "TTFT P95", "NOTE")
ENGINES = ("ENGINE", "NODE", "KIND", "STATE", "RUN", "WAIT", "SLOTS", "KV USED", "RESTARTS")


def frame(seen: Seen, columns: int | None) -> str:
    """What is true now: machines with their memory, models, engines, what is wrong and what happened last."""
    state = seen.state
    legend = "  ".join(f"{shade} {name}" for shade, name in SHADES)
    parts = [
        f"{_head(seen)}\n{_totals(seen)}",
        table(NODES, _nodes(seen, columns), columns, NODES_DROP) + f"\n{legend}",
        table(MODELS, _models(seen), columns, ("NOTE",), ("NOTE",)) if state.models else "",
        table(ENGINES, _engines(state), columns, ("RESTARTS", "KIND", "NODE", "SLOTS")) if state.engines else "",
        "\n".join(printable(line) for line in (*_wrong(state), *_happened(state))),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(seen: Seen) -> str:
    state = seen.state
    age = f"   heard from the head {state.age_s:.0f} s ago" if state.age_s and state.age_s >= 10 else ""
    return (
        f"{printable(state.cluster)}   {state.endpoint or 'no gateway here'}   config rev {state.config_revision}{age}"
    )


def _totals(seen: Seen) -> str:
    machines = sorted(node.state for node in seen.state.nodes.values())
    told = ", ".join(f"{len([*group])} {name}" for name, group in groupby(machines))
    line = f"{len(machines)} machine{'s' * (len(machines) != 1)} ({told})" if machines else "no machine"
    if not seen.figures:
        return f"{line}   requests are counted by a gateway, and none answers here"
    live = seen.state.live
    return f"{line}   {live.in_flight} running, {live.waiting} waiting   {live.output_tokens_per_s:,.0f} tokens/s"


def _nodes(seen: Seen, columns: int | None) -> list[tuple[str, ...]]:
    """A row for each pool of memory; the figures stand with a machine's first."""
    width = NARROW_BAR if columns is not None and columns < ROOMY_COLUMNS else BAR
    rows: list[tuple[str, ...]] = []
    for name, node in seen.state.nodes.items():
        figures = _of_node(seen, name)
        for at, (pool_id, pool) in enumerate(node.pools.items() or [("-", None)]):
            first = (name, node.state) if at == 0 else ("", "")
            memory = (bar(pool, width), _used(pool)) if pool is not None else ("?", "?")
            rows.append((*first, pool_id, *memory, *(figures if at == 0 else ("", "", "", ""))))
    return rows


def bar(pool: Pool, width: int) -> str:
    """The budget of a pool, by what it is used for. A part that is there is seen, however small."""
    budget, parts = pool.budget_bytes, pool.parts
    if not budget or parts.weights is None:
        return "?"
    sizes = (parts.weights, parts.kv or 0, (parts.runtime or 0) + (parts.engines or 0))
    drawn = ""
    for (shade, _), size in zip(SHADES, sizes, strict=False):
        drawn += shade * max(size > 0, round(width * size / budget))
    return drawn[:width].ljust(width, SHADES[-1][0])


def _used(pool: Pool) -> str:
    parts, budget = pool.parts, pool.budget_bytes
    known = [size for size in (parts.weights, parts.kv, parts.runtime, parts.engines) if size is not None]
    used = f"{sum(known) / GIB:.1f}" if known else "?"
    return f"{used} of {budget / GIB:.1f}" if budget is not None else f"{used} of ?"


def _of_node(seen: Seen, name: str) -> tuple[str, str, str, str]:
    """By the gateway's own count, which has no lag; by what engines say where there is none."""
    engines = [engine for engine in seen.state.engines.values() if engine.node == name]
    figures = seen.state.live.by_node.get(name)
    running = (
        str(figures.in_flight if figures is not None else 0) if seen.figures else _sum(one.running for one in engines)
    )
    return (running, _sum(one.waiting for one in engines), *_speed(seen, figures))


def _models(seen: Seen) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, model in seen.state.models.items():
        figures = seen.state.live.by_model.get(name)
        counts = (str(figures.in_flight), str(figures.waiting or 0)) if figures is not None else ("0", "0")
        counts = counts if seen.figures else ("-", "-")
        note = model.reason if model.state != "ready" else model.note
        rows.append((name, model.state, *counts, *_speed(seen, figures), note))
    return rows


def _engines(state: State) -> list[tuple[str, ...]]:
    return [(name, engine.node, engine.kind, engine.state, *_load(engine)) for name, engine in state.engines.items()]


def _load(engine: Engine) -> tuple[str, ...]:
    counts = (_count(engine.running), _count(engine.waiting), _count(engine.slots))
    used = "?" if engine.kv_used is None else f"{engine.kv_used:.0%}"
    return (*counts, used, str(engine.restarts))


def _speed(seen: Seen, figures: Figures | None) -> tuple[str, str]:
    """Tokens a second, and until the first token: 95 of 100 waited no longer."""
    if not seen.figures:
        return "-", "-"
    if figures is None:
        return "0", "-"
    first = "-" if figures.ttft_p95_s is None else f"{figures.ttft_p95_s:.2f} s"
    return f"{figures.output_tokens_per_s:,.0f}", first


def _wrong(state: State) -> Iterable[str]:
    named: Sequence[tuple[str, Node | Engine]] = (*state.nodes.items(), *state.engines.items())
    return [f"! {name}: {one.state}: {one.reason}" for name, one in named if one.reason and one.state != "ready"]


def _happened(state: State) -> Iterable[str]:
    return [f"{instant(event.at)}  {event.text}" for event in state.events[-EVENTS:]]


def _count(figure: int | None) -> str:
    return "?" if figure is None else str(figure)


def _sum(figures: Iterable[int | None]) -> str:
    known = [figure for figure in figures if figure is not None]
    return str(sum(known)) if known else "-"
