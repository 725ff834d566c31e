"""`potluck keys`: who may use this cluster, as what, and until when."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import completing
from cli.options import AsJson, Output, StateDir, paths_of
from cli.output import data, data_json, show, talk
from cluster.pii.policy import Policy
from cluster.roles import SCOPES, Role, Scope

if TYPE_CHECKING:
    from cluster.admin_client import AdminClient
    from cluster.admin_wire import FactorMade, KeyFacts, KeyMade
    from cluster.limits import Limits

app = typer.Typer(no_args_is_help=True, help="API keys: one for each person, class or program. All are shown once.")

Name = Annotated[str, typer.Argument(help="A key's name; see `potluck keys ls`.", autocompletion=completing.keys)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
LIMIT_HELP = "As requests_per_minute=60, tokens_per_day=200000, concurrency=4, hours='mon-fri 08:00-16:00'."


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="What you call it: a person, a class, a program.")],
    role: Annotated[Role, typer.Option("--role", help="display reads only: a screen on a wall.")] = "user",
    group: Annotated[str, typer.Option("--group", help="Whom it belongs to: a class, a household member.")] = "default",
    tenant: Annotated[str, typer.Option("--tenant", help="Tenants share nothing, not even caches.")] = "default",
    data_class: Annotated[str, typer.Option("--data-class", help="How sensitive what it sends is.")] = "private",
    model: Annotated[list[str] | None, typer.Option("--model", help="Only this model, or qwen3-*. Repeatable.")] = None,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="Only this, of what its role may.")] = None,
    expires: Annotated[str, typer.Option("--expires", help="When it stops working: 90d, 12h. Never otherwise.")] = "",
    front_end: Annotated[bool, typer.Option("--front-end", help="Trust it to say for which user it asks.")] = False,
    limit: Annotated[list[str] | None, typer.Option("--limit", help=f"{LIMIT_HELP} Repeatable.")] = None,
    answers_kept: Annotated[
        str, typer.Option("--answers-kept", help="Give it answers again that its tenant got, up to 1h, 7d old.")
    ] = "",
    pii: Annotated[
        Policy | None, typer.Option("--pii", help="What becomes of personal data in what it sends and gets.")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Make a key and print it. Nobody can show it again."""
    import asyncio

    from cluster.key_order import KeyOrder

    order = KeyOrder(
        name=name,
        role=role,
        group=group,
        tenant=tenant,
        data_class=data_class,
        scopes=_scopes(scope),
        models=tuple(model) if model else None,
        lifetime_s=_seconds(expires, "--expires"),
        front_end=front_end,
        limits=_limits(limit or []),
        answers_kept_s=_seconds(answers_kept, "--answers-kept"),
        pii=pii,
    )
    _print_made(asyncio.run(_admin(state_dir).create_key(order)), as_json)


@app.command()
def ls(
    every: Annotated[bool, typer.Option("--all", help="Revoked keys as well.")] = False,
    output: Output = "table",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """List the keys: whose, as what, for which models, until when. Never the keys themselves."""
    import asyncio

    from cli.render_keys import keys_listing
    from inventory.clock import SystemClock

    keys = [key for key in asyncio.run(_admin(state_dir).keys()) if every or key.revoked_s is None]
    show(keys_listing(keys, SystemClock().wall_s()), output, as_json)


@app.command()
def inspect(name: Name, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show everything known of one key, but the key."""
    import asyncio

    from cli.render_keys import find_key

    _print_key(find_key(asyncio.run(_admin(state_dir).keys()), name), as_json)


@app.command()
def limit(
    name: Name,
    limits: Annotated[list[str] | None, typer.Argument(metavar="[LIMIT=VALUE]...", help=LIMIT_HELP)] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Set a key's own limits in place of those it had. Without any, it has what its group's keys have."""
    import asyncio

    _print_key(asyncio.run(_admin(state_dir).limit_key(name, _limits(limits or []))), as_json)


@app.command()
def rotate(name: Name, yes: Yes = False, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Make another key of the same name and rights, and print it. The old one is refused from that moment."""
    import asyncio

    if not yes:
        typer.confirm(f"whatever uses the key {name} needs the new one; go on?", abort=True)
    _print_made(asyncio.run(_admin(state_dir).rotate_key(name)), as_json)


@app.command()
def totp(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="Take the second factor away.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Give a key a second factor for the dashboard's login, and print what an authenticator app reads, once."""
    import asyncio

    from cli.render_keys import find_key

    admin = _admin(state_dir)
    has = find_key(asyncio.run(admin.keys()), name).totp
    if off:
        if not yes:
            typer.confirm(f"{name} then logs in at the dashboard with the key alone; go on?", abort=True)
        asyncio.run(admin.factor_off(name))
        talk(f"{name}: no second factor")
        return
    if has and not yes:
        typer.confirm(f"{name} has a second factor, which this one replaces; go on?", abort=True)
    _print_factor(asyncio.run(admin.factor_on(name)), as_json)


@app.command()
def revoke(name: Name, yes: Yes = False, state_dir: StateDir = None) -> None:
    """Withdraw a key. It is refused from that moment; answers that have begun are finished."""
    import asyncio

    if not yes:
        typer.confirm(f"whatever uses the key {name} stops working; go on?", abort=True)
    asyncio.run(_admin(state_dir).revoke_key(name))
    talk(f"{name}: revoked")


@app.command(name="show-owner")
def show_owner(state_dir: StateDir = None) -> None:
    """Print the owner's key, which may do everything."""
    from cli.endpoint import NotRunningError
    from inventory.secret_files import read_secret

    paths = paths_of(state_dir)
    if not paths.owner_key.exists():
        raise NotRunningError(paths)
    data(read_secret(paths.owner_key))


@app.command(name="rotate-owner")
def rotate_owner(yes: Yes = False, state_dir: StateDir = None) -> None:
    """Make a new owner's key. The old one is refused from that moment."""
    import asyncio

    if not yes:
        typer.confirm("every client that uses the owner's key needs the new one; go on?", abort=True)
    asyncio.run(_admin(state_dir).rotate_owner())
    talk("the owner's key was replaced; `potluck keys show-owner` prints it")


def _admin(state_dir: StateDir) -> "AdminClient":
    from cluster.admin_client import AdminClient

    return AdminClient(paths_of(state_dir).head_socket)


def _scopes(names: list[str] | None) -> tuple[Scope, ...] | None:
    scopes = tuple(scope for scope in SCOPES if scope in (names or ()))
    unknown = sorted(set(names or ()) - set(scopes))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is not one of {', '.join(SCOPES)}", param_hint="--scope")
    return scopes or None


def _limits(texts: list[str]) -> "Limits":
    from cluster.limits import parse_limits

    try:
        return parse_limits(texts)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _seconds(text: str, option: str) -> int | None:
    from cluster.units import parse_duration_s

    if not text:
        return None
    try:
        return max(1, int(parse_duration_s(text)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _print_key(key: "KeyFacts", as_json: bool) -> None:
    from cli.render_keys import key_sheet
    from inventory.clock import SystemClock

    if as_json:
        import msgspec

        data_json("Key", msgspec.to_builtins(key))
    else:
        data(key_sheet(key, SystemClock().wall_s()))


def _print_factor(made: "FactorMade", as_json: bool) -> None:
    if as_json:
        data_json("Factor", {"address": made.address, "name": made.facts.name, "key_id": made.facts.key_id})
        return
    from cli.render_keys import qr_code

    talk(qr_code(made.address))
    data(made.address)
    talk(f"{made.facts.name}: scan it now, it is not shown again; the dashboard asks for its six digits from here on")


def _print_made(made: "KeyMade", as_json: bool) -> None:
    if as_json:
        import msgspec

        data_json("KeyMade", {"key": made.key, **msgspec.to_builtins(made.facts)})
    else:
        data(made.key)
        talk(f"{made.facts.name}: keep it now, it is not shown again; `potluck keys inspect {made.facts.name}`")
