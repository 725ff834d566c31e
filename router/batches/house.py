"""What batches see of the gateway around them: which machines are idle, and who asks."""

from msgspec.structs import replace

from nodes.snapshot import NodeId
from router.batches.picking import Bench, Scene, free_places
from router.batches.values import BatchRow
from router.borders import class_set
from router.decision import Candidate
from router.dispatcher import Dispatcher
from router.errors import ApiError
from router.permissions import refusal
from router.request import TOKEN_HOLDER, Identity

ROUTE = "/v1/batches"


class GatewayHouse:
    """Implements router.batches.runner.House."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.body_limit_bytes = dispatcher.context.settings.body_limit_bytes

    def caller(self, batch: BatchRow) -> Identity | None:
        """As of now, whatever the key was allowed when the batch was made; a token's holder as the token said."""
        made_by = batch.identity
        if made_by.key_id.startswith(TOKEN_HOLDER):
            return made_by
        wall_s = self._dispatcher.context.clock.wall_s()
        now = self._dispatcher.view.keys.holder_of(made_by.key_id, wall_s)
        if now is None or refusal(now, ROUTE) is not None:
            return None
        return replace(now, user=made_by.user)

    def rooms(self, identity: Identity, model: str, added: frozenset[str]) -> tuple[dict[NodeId, int] | None, str]:
        context = self._dispatcher.context
        try:
            routes = self._dispatcher.routes_for(identity, model, 0, class_set(identity.data_class) | added)
        except ApiError as error:
            return (None, "") if error.status != 503 else ({}, error.message)
        if routes.outside:
            return None, ""  # any machine can say so: none of them is asked
        if not routes.candidates:
            return {}, f"no engine of `{routes.view.name}` runs"
        ejected = context.health.ejected
        benches = [_bench(one, one.engine_id not in ejected) for one in routes.candidates]
        return free_places(benches, self._scene([one.node_id for one in routes.candidates]))

    def _scene(self, nodes: list[NodeId]) -> Scene:
        context, now_s = self._dispatcher.context, self._dispatcher.context.clock.monotonic_s()
        asked: dict[NodeId, int] = {}
        for candidate in self._dispatcher.view.candidates():
            count = context.ledger.in_flight.get(candidate.engine_id, 0)
            asked[candidate.node_id] = asked.get(candidate.node_id, 0) + count
        quiet = {node_id: context.foresight.quiet_s(node_id, now_s) for node_id in nodes}
        known = {node_id: quiet_s for node_id, quiet_s in quiet.items() if quiet_s is not None}
        return Scene(asked, known, context.guests.running, len(context.room))


def _bench(candidate: Candidate, sound: bool) -> Bench:
    return Bench(candidate.engine_id, candidate.node_id, candidate.slots, sound and not candidate.last_resort)
