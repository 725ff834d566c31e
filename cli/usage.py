"""`potluck usage`: what was asked of this machine's gateway, by whom, and what it took."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, StateDir, moment_s, paths_of
from cli.output import data, data_json, talk, terminal_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.admin_wire import KeyFacts
    from inventory.paths import StatePaths
    from router.usage_query import Dimension

DEFAULT_SPAN = "30d"


def usage(
    by: Annotated[
        str, typer.Option("--by", help="key, group, tenant, user, model, node, day, hour; or several: group,day.")
    ] = "key",
    since: Annotated[
        str, typer.Option("--since", help="How far back, or a UTC day or moment: 24h, 7d, 2026-11-01.")
    ] = DEFAULT_SPAN,
    until: Annotated[str, typer.Option("--until", help="The day or moment before which it ends. Now otherwise.")] = "",
    key: Annotated[str | None, typer.Option("--key", help="Only of this key, by name or id.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Only of this group.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only of this model.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header line on stdout.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Requests, tokens and seconds, summed by full hours of UTC. Kept for 400 days, by the machine of the gateway."""
    from cli.render_usage import UsageTable, usage_csv, usage_document, usage_remarks, usage_table
    from inventory.clock import SystemClock
    from router.usage_query import UsageQuery, read_usage

    if as_csv and as_json:
        raise typer.BadParameter("it is either CSV or JSON", param_hint="--csv")
    now_s, paths = SystemClock().wall_s(), paths_of(state_dir)
    since_s, until_s = moment_s(since, now_s, "--since"), moment_s(until, now_s, "--until") if until else now_s
    if until_s <= since_s:
        raise typer.BadParameter("it ends before it begins", param_hint="--until")
    keys = _known_keys(paths)
    query = UsageQuery(_dimensions(by), since_s, until_s, _key_ids(key, keys), group, model)
    shown = UsageTable(query, read_usage(paths.telemetry_db, query), {one.key_id: one.name for one in keys or ()})
    if as_json:
        data_json("Usage", usage_document(shown))
        return
    data(usage_csv(shown) if as_csv else usage_table(shown, terminal_columns()))
    for remark in usage_remarks(shown, names_known=keys is not None):
        talk(remark)


def _dimensions(by: str) -> "tuple[Dimension, ...]":
    from typing import get_args

    from router.usage_query import Dimension

    known: tuple[Dimension, ...] = get_args(Dimension)
    wanted = [word.strip() for word in by.split(",")]
    unknown = [word for word in wanted if word not in known]
    if unknown or len(set(wanted)) < len(wanted):
        problem = f"{unknown[0]!r} is not one of" if unknown else "name each once, of"
        raise typer.BadParameter(f"{problem} {', '.join(known)}", param_hint="--by")
    return tuple(dimension for word in wanted for dimension in known if dimension == word)


def _known_keys(paths: "StatePaths") -> "Sequence[KeyFacts] | None":
    """None where no head answers: usage is on record without it."""
    import asyncio

    from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError

    try:
        return asyncio.run(AdminClient(paths.head_socket).keys())
    except (HeadUnreachableError, AdminRefusedError):
        return None


def _key_ids(wanted: str | None, keys: "Sequence[KeyFacts] | None") -> tuple[str, ...]:
    """Of all keys that have or had this name, or this one. Raises KeyNotFoundError."""
    from cli.render_keys import KeyNotFoundError
    from router.request import TOKEN_HOLDER

    if wanted is None:
        return ()
    found = tuple(one.key_id for one in keys or () if wanted in (one.name, one.key_id))
    if not found and keys is not None and not wanted.startswith(TOKEN_HOLDER):
        raise KeyNotFoundError(wanted, [one.name for one in keys])
    return found or (wanted,)
