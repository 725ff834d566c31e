"""What became different between two snapshots, one line each: for pipes, logs and people who read them."""

from collections.abc import Iterator

from cli.table import printable
from cluster.snapshot import ClusterSnapshot

Standing = dict[str, tuple[str, str]]  # what -> (state, reason)


def changes(before: ClusterSnapshot | None, after: ClusterSnapshot) -> Iterator[str]:
    """Lines such as `node mac: ready -> suspect: it has fallen silent`. At first, how everything stands."""
    known = _standing(before) if before is not None else {}
    current = _standing(after)
    for what, (state, reason) in current.items():
        earlier = known.get(what)
        if earlier is not None and earlier[0] == state:
            continue
        why = f": {printable(reason)}" if reason else ""
        yield f"{what}: {f'{earlier[0]} -> ' if earlier else ''}{state}{why}"
    yield from (f"{what}: gone" for what in known if what not in current)


def _standing(snapshot: ClusterSnapshot) -> Standing:
    nodes = {f"node {node.node_id}": (node.state, node.reason) for node in snapshot.nodes}
    models = {f"model {model.name}": (model.state, model.reason) for model in snapshot.models}
    engines = {
        f"engine {engine.engine_id}": (f"{engine.state} (generation {engine.generation})", engine.reason)
        for node in snapshot.nodes
        for engine in (node.snapshot.engines if node.snapshot else ())
    }
    links = {f"link {node.node_id}": (node.link, "") for node in snapshot.nodes}
    return {**nodes, **links, **models, **engines}
