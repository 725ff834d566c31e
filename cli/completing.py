"""Names that the shell offers after a tab: from what lies on this machine, or what its head answers at once.

Nobody reads an error in the middle of a line, so where a name cannot be found out, none is offered.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cluster.admin_client import AdminClient

PATIENCE_S = 1.0


def nodes(incomplete: str) -> list[str]:
    import asyncio

    from cluster.admin_client import AdminRefusedError, HeadUnreachableError

    try:
        found = asyncio.run(_admin().snapshot()).nodes
    except (HeadUnreachableError, AdminRefusedError, OSError):
        return []
    return _beginning(incomplete, (node.node_id for node in found))


def keys(incomplete: str) -> list[str]:
    import asyncio

    from cluster.admin_client import AdminRefusedError, HeadUnreachableError

    try:
        found = asyncio.run(_admin().keys())
    except (HeadUnreachableError, AdminRefusedError, OSError):
        return []
    return _beginning(incomplete, (key.name for key in found if key.revoked_s is None))


def spaces(incomplete: str) -> list[str]:
    from cli.endpoint import GatewayRefusedError, NotRunningError
    from cli.options import paths_of
    from cli.rag_client import rag_client
    from inventory.secret_files import ExposedSecretError

    try:
        with rag_client(paths_of(None), PATIENCE_S) as gateway:
            found = gateway.spaces()
    except (NotRunningError, GatewayRefusedError, ExposedSecretError):
        return []
    return _beginning(incomplete, (space.name for space in found if space.name))


def stored_models(incomplete: str) -> list[str]:
    from cli.options import paths_of
    from cli.wire import model_store

    paths = paths_of(None)
    if not paths.models.exists():
        return []
    return _beginning(incomplete, (str(model.ref.name) for model in model_store(paths).held()))


def models(incomplete: str) -> list[str]:
    """Those that are here, and those that everybody knows."""
    from inventory.known_models import KNOWN

    return sorted({*stored_models(incomplete), *_beginning(incomplete, (model.name for model in KNOWN))})


def _beginning(incomplete: str, names: "Iterable[str]") -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


def _admin() -> "AdminClient":
    from cli.options import paths_of
    from cluster.admin_client import AdminClient

    return AdminClient(paths_of(None).head_socket, PATIENCE_S)
