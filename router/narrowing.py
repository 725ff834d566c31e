"""The engines of a model that may serve a request of some classes: a filter, before anything is scored. Pure."""

from dataclasses import replace

from nodes.snapshot import EngineId
from router.borders import Borders
from router.decision import SHORT, ModelRoutes, Rejection
from router.waiting_words import ON_ITS_WAY

OUTSIDE = "outside its zones"  # begins the reason of an engine whose machine must not see the request
_COMING = (SHORT, "starting")  # begin reasons of engines that will take requests again by themselves


def within(borders: Borders, routes: ModelRoutes, classes: frozenset[str]) -> ModelRoutes:
    """The same where these classes may go anywhere. Whoever waits for an engine waits for one that is left."""
    zones = borders.zones_of(classes)
    return routes if zones is None else _narrowed(borders, routes, zones)


def _narrowed(borders: Borders, routes: ModelRoutes, zones: frozenset[str]) -> ModelRoutes:
    candidates = tuple(one for one in routes.candidates if borders.allows(one.node_id, zones))
    beyond = [one.engine_id for one in routes.candidates if not borders.allows(one.node_id, zones)]
    here: list[Rejection] = []
    for engine_id, why in routes.rejected:
        if borders.holds(engine_id, zones):
            here.append((engine_id, why))
        else:
            beyond.append(engine_id)
    coming = next((why for _, why in here if why.startswith(_COMING)), "")
    may_come = routes.view.state in ON_ITS_WAY and (
        routes.view.zones is None or not zones.isdisjoint(routes.view.zones)
    )
    rejected = (*here, *((engine_id, _why(borders, engine_id)) for engine_id in beyond))
    return replace(
        routes,
        candidates=candidates,
        rejected=tuple(sorted(rejected)),
        smallest_context=min((one.context_tokens for one in candidates), default=0),
        engine_ids=tuple(one.engine_id for one in candidates),
        plain=not any(one.last_resort or one.cache_tokens for one in candidates),
        held_up="" if candidates else coming,
        measured=all(one.rates is not None for one in candidates),
        zones=zones,
        outside=not (candidates or here or may_come),
    )


def _why(borders: Borders, engine_id: EngineId) -> str:
    node_id = borders.places.nodes.get(engine_id)
    zone = borders.zone_of(node_id) if node_id is not None else ""
    return f"{OUTSIDE}: its machine is in {f'`{zone}`' if zone else 'none'}"
