"""How far a machine goes with a model: the most requests at once for each context, and the longest context for these.

The same needs and the same room as cluster.fit_fleet, asked for more than one workload. Pure.
"""

from dataclasses import dataclass

from cluster.config import ClusterConfig
from cluster.fit_fleet import MOST_USERS, FitQuery, Way, ways
from cluster.fit_verdict import LEAST_CONTEXT, Needing, Room, largest
from cluster.snapshot import ClusterSnapshot

USUAL_LONGEST = 131_072  # of a model that does not say how long a context it was trained with


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """`alone`: with nothing else on the machine. `beside`: beside what is there now. 0: not even one."""

    context_tokens: int
    users_alone: int
    users_beside: int


@dataclass(frozen=True, slots=True)
class Frontier:
    """One way to run the model on one machine. The contexts are for as many users as were asked about; 0: none."""

    node: str
    engine: str
    quantisation: str
    longest_tokens: int  # what the model was trained with
    budget_bytes: int
    free_bytes: int
    context_alone: int
    context_beside: int
    points: tuple[FrontierPoint, ...]


@dataclass(frozen=True, slots=True)
class FrontierDocument:
    model: str
    context_tokens: int
    users: int
    kv_bits: int
    rows: tuple[Frontier, ...]


def frontiers(query: FitQuery, config: ClusterConfig, snapshot: ClusterSnapshot | None) -> FrontierDocument:
    """Raises UnknownModelError, UnknownQuantisationError."""
    rows = tuple(_frontier(query, way) for way in ways(query, config, snapshot))
    return FrontierDocument(query.model, query.context_tokens, query.users, query.kv_bits, rows)


def _frontier(query: FitQuery, way: Way) -> Frontier:
    now = way.room
    alone = Room(now.budget_bytes)
    needing = way.place.needing(way.kind)
    longest = way.shape.context_length or USUAL_LONGEST

    def users(context_tokens: int, room: Room) -> int:
        return largest(lambda count: way.workload(query, context_tokens, count), MOST_USERS, 1, room, needing) or 0

    def context(room: Room) -> int:
        return _longest(query, way, longest, room, needing)

    return Frontier(
        node=way.place.node_id,
        engine=way.kind,
        quantisation=way.shape.quantisation,
        longest_tokens=longest,
        budget_bytes=now.budget_bytes,
        free_bytes=now.free_bytes,
        context_alone=context(alone),
        context_beside=context(now),
        points=tuple(FrontierPoint(size, users(size, alone), users(size, now)) for size in contexts(longest, query)),
    )


def _longest(query: FitQuery, way: Way, longest: int, room: Room, needing: Needing) -> int:
    least = min(LEAST_CONTEXT, longest)
    return largest(lambda size: way.workload(query, size, query.users), longest, least, room, needing) or 0


def contexts(longest: int, query: FitQuery) -> list[int]:
    """Doubling up to the longest, and the one that was asked about."""
    sizes = {longest}
    size = LEAST_CONTEXT
    while size < longest:
        sizes.add(size)
        size *= 2
    return sorted(sizes | {query.context_tokens} if query.context_tokens <= longest else sizes)
