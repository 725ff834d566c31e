"""`potluck fit` and `potluck capacity`: what a model needs and where it would fit, before anything is started."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import completing
from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, terminal_columns

if TYPE_CHECKING:
    from cluster.config import ClusterConfig
    from cluster.fit_fleet import FitQuery
    from cluster.snapshot import ClusterSnapshot
    from inventory.paths import StatePaths

ContextText = Annotated[str, typer.Option("--ctx", help="Tokens of a request, prompt and answer together: 8192, 32k.")]
Users = Annotated[int, typer.Option("--users", min=1, max=4096, help="Requests at the same time.")]


def fit(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A model of this cluster, or one that is known by name: qwen3-14b.", autocompletion=completing.models
        ),
    ] = None,
    context: ContextText = "8k",
    users: Users = 1,
    quant: Annotated[str | None, typer.Option("--quant", help="4bit, 8bit, bf16, awq, q4_k_m, q8_0 …")] = None,
    kv_bits: Annotated[Literal[16, 8], typer.Option("--kv-bits", help="Bits of the KV cache.")] = 16,
    node: Annotated[
        str | None, typer.Option("--node", help="One machine only.", autocompletion=completing.nodes)
    ] = None,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="The most users for each context, and the longest context for USERS.")
    ] = False,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="No model: what engines took so far, and how far off the figures were.")
    ] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What a model needs, item by item, and on which machines it fits. Exit 3 when it fits nowhere as asked.
    Without MODEL: which models could be served to so many users at once, and a set of them that fits together."""
    if ledger and model is not None:
        raise typer.BadParameter("it takes the name of a model, or else --ledger", param_hint="MODEL")
    if ledger:
        _print_ledger(paths_of(state_dir), node, as_json)
        return
    if model is None:
        if quant or node or frontier or kv_bits != 16:
            raise typer.BadParameter(
                "--quant, --node, --kv-bits and --frontier are about one model", param_hint="MODEL"
            )
        _print_suggestion(paths_of(state_dir), _tokens(context), users, as_json)
        return
    from cli.render_fit import fit_text
    from cluster.fit_fleet import FitQuery, fit_report
    from cluster.fit_wire import document_of
    from nodes.snapshot import NodeId

    query = FitQuery(model, _tokens(context), users, quant, kv_bits, NodeId(node) if node else None)
    if frontier:
        _print_frontier(paths_of(state_dir), query, as_json)
        return
    report = fit_report(query, *_known(paths_of(state_dir)))
    if as_json:
        import msgspec

        data_json("Fit", msgspec.to_builtins(document_of(report)))
    else:
        data(fit_text(report, terminal_columns()))
    if not report.fits:
        raise typer.Exit(3)


def capacity(
    context: ContextText = "8k",
    users: Users = 50,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What the cluster can still take: users and tokens of the engines that run, and which models would serve so many
    people at once beside them, the largest that fit first."""
    from cli.render_fit import capacity_text, rooms_text
    from cluster.capacity import engine_rooms
    from cluster.fit_fleet import capacity_reports
    from cluster.fit_wire import document_of

    tokens = _tokens(context)
    config, snapshot = _known(paths_of(state_dir))
    reports, rooms = capacity_reports(tokens, users, config, snapshot), engine_rooms(snapshot) if snapshot else ()
    if as_json:
        import msgspec

        models = [msgspec.to_builtins(document_of(report)) for report in reports]
        data_json("Capacity", {"engines": msgspec.to_builtins(rooms), "models": models})
    else:
        if rooms:
            data(f"{rooms_text(rooms, terminal_columns())}\n")
        data(capacity_text(reports, tokens, users, terminal_columns()))


def _print_ledger(paths: "StatePaths", node: str | None, as_json: bool) -> None:
    import asyncio

    from cli.render_ledger import ledger_text
    from cluster.admin_client import AdminClient

    document = asyncio.run(AdminClient(paths.head_socket).ledger(node))
    if as_json:
        import msgspec

        data_json("FitLedger", msgspec.to_builtins(document))
    else:
        data(ledger_text(document, node, terminal_columns()))


def _print_frontier(paths: "StatePaths", query: "FitQuery", as_json: bool) -> None:
    from cli.render_fit import frontier_text
    from cluster.fit_frontier import frontiers

    document = frontiers(query, *_known(paths))
    if as_json:
        import msgspec

        data_json("FitFrontier", msgspec.to_builtins(document))
    else:
        data(frontier_text(document))


def _print_suggestion(paths: "StatePaths", context_tokens: int, users: int, as_json: bool) -> None:
    from cli.render_suggestion import suggestion_text
    from cluster.fit_suggest import suggest

    found = suggest(context_tokens, users, *_known(paths))
    if as_json:
        import msgspec

        data_json("FitSuggestion", msgspec.to_builtins(found))
    else:
        data(suggestion_text(found, terminal_columns()))
    if not found.chosen:
        raise typer.Exit(3)


def _tokens(text: str) -> int:
    from cluster.units import parse_tokens

    try:
        return parse_tokens(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ctx") from None


def _known(paths: "StatePaths") -> "tuple[ClusterConfig, ClusterSnapshot | None]":
    """What the running head knows, or without one what cluster.yaml describes."""
    import asyncio

    from cli.wire import load_or_default
    from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError

    config = load_or_default(paths).config
    try:
        return config, asyncio.run(AdminClient(paths.head_socket).snapshot())
    except (HeadUnreachableError, AdminRefusedError):
        return config, None
