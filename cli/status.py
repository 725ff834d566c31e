"""`potluck status`: what the cluster is doing, from the same snapshot that the router decides on."""

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json


def status(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show nodes, memory, models and engines. Exit 6 when nothing runs."""
    import asyncio

    from cli.endpoint import NotRunningError, local_endpoint
    from cli.render import status_text
    from cluster.admin_client import AdminClient, HeadUnreachableError
    from inventory.clock import SystemClock

    paths = paths_of(state_dir)
    try:
        snapshot = asyncio.run(AdminClient(paths.head_socket).snapshot())
    except HeadUnreachableError:
        raise NotRunningError(paths) from None
    try:
        endpoint = local_endpoint(paths).base_url
    except NotRunningError:
        endpoint = None
    if as_json:
        import msgspec

        data_json("Status", {"endpoint": endpoint, "cluster": msgspec.to_builtins(snapshot)})
    else:
        data(status_text(snapshot, endpoint, SystemClock().wall_s()))
