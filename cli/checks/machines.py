"""The cluster's machines as the head sees them: who is lost, how they are reached, and how their clocks go."""

from collections.abc import Iterator

from cli.checks.finding import Result, fail, ok, warn
from cli.checks.situation import Situation
from cluster.snapshot import ClusterSnapshot, NodeView
from cluster.views import NO_LINK

CLOCK_LIMIT_S = 60.0  # certificates and records bear as much
FRESH = ("ready", "cordoned", "draining")  # of the others the last report is old
CHOSEN = "cluster.yaml says so"


def check_nodes(situation: Situation) -> Iterator[Result]:
    snapshot = situation.snapshot
    if snapshot is None:
        if not situation.head_silence:
            yield ok("no head answers here, so other machines were not looked at")
        return
    yield from machines(snapshot)


def machines(snapshot: ClusterSnapshot) -> Iterator[Result]:
    for node in snapshot.nodes:
        yield from _of_machine(node)
    there = [node.node_id for node in snapshot.nodes if node.state in FRESH]
    yield ok(f"{len(there)} of {len(snapshot.nodes)} there{': ' if there else ''}{', '.join(there)}")


def _of_machine(node: NodeView) -> Iterator[Result]:
    name = node.node_id
    where = f"{name} at {node.address.host}" if node.address is not None else name
    look = f"on {name}: potluck doctor; is it on, and in the network?"
    if node.state == "lost":
        yield fail(f"{where} is lost: {node.reason}", f"{look} For good: potluck nodes rm {name}")
    elif node.state == "suspect":
        yield warn(f"{where} has fallen silent: {node.reason}", look)
    elif node.state == "joining" and node.reason == NO_LINK:
        yield warn(
            f"{name} is in cluster.yaml and has not joined", f"potluck token create --node {name} prints the way"
        )
    elif node.state == "joining":
        yield warn(f"{where} has not been heard yet: {node.reason}", f"{look} Does `potluck node` run there?")
    elif node.state == "cordoned":
        yield ok(f"{name} is cordoned: {node.reason}")


def check_links(situation: Situation) -> Iterator[Result]:
    """https where Ray is wanted: nothing is lost but jobs that run on many machines."""
    members = [node for node in _nodes(situation) if node.address is not None and node.state in FRESH]
    for node in members:
        if node.link == "https" and node.link_reason and not node.link_reason.startswith(CHOSEN):
            yield warn(f"{node.node_id} is reached by https, not through Ray: {node.link_reason}", _towards_ray(node))
        else:
            yield ok(f"{node.node_id} by {node.link}")


def check_clocks(situation: Situation) -> Iterator[Result]:
    """Each report says what its machine took for the time, and is at most seconds old."""
    snapshot = situation.snapshot
    if snapshot is None:
        return
    off = [
        (node, node.snapshot.taken_at_s - snapshot.taken_at_s) for node in snapshot.nodes if node.snapshot is not None
    ]
    wrong = [(node, by_s) for node, by_s in off if node.state in FRESH and abs(by_s) > CLOCK_LIMIT_S]
    for node, by_s in wrong:
        told = f"the clock of {node.node_id} is {abs(by_s):.0f} s {'ahead of' if by_s > 0 else 'behind'} the head's"
        yield warn(told, f"on {node.node_id}: sudo timedatectl set-ntp true (macOS: sudo sntp -sS time.apple.com)")
    if not wrong:
        yield ok(f"within {CLOCK_LIMIT_S:.0f} s of the head's")


def _nodes(situation: Situation) -> tuple[NodeView, ...]:
    return situation.snapshot.nodes if situation.snapshot is not None else ()


def _towards_ray(node: NodeView) -> str:
    """A way back, unless https was chosen for good: nodes.NAME.transport."""
    name = node.node_id
    return f"on {name}: potluck doctor net; or nodes.{name}.transport: https in cluster.yaml, if it is as it should be"
