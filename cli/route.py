"""`potluck route`: why requests went where they went, if it would be decided so again, how good predictions were."""

from typing import Annotated

import typer

from cli.options import AsJson, StateDir, moment_s, paths_of
from cli.output import data, data_json, talk, terminal_columns

app = typer.Typer(no_args_is_help=True, help="Why requests go where they go. On the gateway's machine.")

Model = Annotated[str | None, typer.Option("--model", help="Only of this model.")]
Since = Annotated[str, typer.Option("--since", help="How far back, or a UTC day or moment: 24h, 7d, 2026-11-01.")]


@app.command()
def explain(
    request_id: Annotated[str | None, typer.Argument(help="A request's id: the header x-request-id.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The last one on record, of --model if given.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the running gateway, and send nothing.")] = False,
    model: Annotated[str | None, typer.Option("--model", help="Of this model.")] = None,
    prompt_tokens: Annotated[int | None, typer.Option("--prompt-tokens", min=1, help="With --dry-run.")] = None,
    output_tokens: Annotated[int | None, typer.Option("--output-tokens", min=1, help="With --dry-run.")] = None,
    session: Annotated[str | None, typer.Option("--session", help="With --dry-run: of this conversation.")] = None,
    data_class: Annotated[
        list[str] | None, typer.Option("--class", help="With --dry-run: of this privacy class as well. Repeatable.")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Candidates with their terms, who was left out, the margin, and the smallest change that turns it. Exit 3 where
    nobody can serve."""
    from cli.render_route import explanation_document, explanation_text
    from cli.route_client import dry_run_of
    from router.decision_query import decision_of, last_decision
    from router.explain import explain as explanation_of
    from router.route_wire import RouteQuestion

    if (request_id is not None) + last + dry_run != 1:
        raise typer.BadParameter("name one of: a request's id, --last, --dry-run", param_hint="ID")
    paths = paths_of(state_dir)
    if dry_run:
        if model is None or prompt_tokens is None:
            raise typer.BadParameter("needs --model and --prompt-tokens", param_hint="--dry-run")
        said = dry_run_of(paths, RouteQuestion(model, prompt_tokens, output_tokens, session, tuple(data_class or ())))
    elif request_id is not None:
        said = explanation_of(decision_of(paths.telemetry_db, request_id))
    else:
        said = explanation_of(last_decision(paths.telemetry_db, model))
    if as_json:
        data_json("RouteExplanation", explanation_document(said))
    else:
        data(explanation_text(said, terminal_columns()))
    if said.chosen is None:
        raise typer.Exit(3)


@app.command()
def replay(
    since: Since = "7d",
    model: Model = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Decide recorded decisions anew, by what is recorded of them. Exit 1 where one is not as it was."""
    from cli.render_route import replay_document, replay_text
    from router.decision_query import decisions
    from router.replay import replay_all

    found = replay_all(decisions(paths_of(state_dir).telemetry_db, _since_s(since), model))
    if as_json:
        data_json("RouteReplay", replay_document(found))
    else:
        data(replay_text(found))
    if found.different:
        raise typer.Exit(1)


@app.command()
def accuracy(
    since: Since = "7d",
    model: Model = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Times to the first token, observed beside predicted, by machine. Only of engines whose rates are known."""
    from cli.render_route import accuracy_document, accuracy_text
    from router.accuracy import accuracies
    from router.decision_query import samples

    rows = accuracies(samples(paths_of(state_dir).telemetry_db, _since_s(since), model))
    if as_json:
        data_json("RouteAccuracy", accuracy_document(rows))
        return
    data(accuracy_text(rows))
    if not rows:
        talk("no request since then has both: a prediction needs rates of every engine of its model, and a stream")


def _since_s(since: str) -> float:
    """Raises typer.BadParameter."""
    from inventory.clock import SystemClock

    return moment_s(since, SystemClock().wall_s(), "--since")
