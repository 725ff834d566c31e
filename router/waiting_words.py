"""What those are told that wait: comments in a stream, and errors that say when to come back. Pure."""

from math import ceil
from typing import NamedTuple

import msgspec

from cluster.snapshot import ModelView
from inventory.catalog import ModelName
from router.decision import ModelRoutes
from router.errors import ApiError, nobody_awake, not_ready, saturated
from router.request import InferenceRequest

ON_ITS_WAY = frozenset({"asleep", "starting", "yielding"})
UNKNOWN_RETRY_S = 10  # nobody knows how long it will take


class Line(NamedTuple):
    """Those that wait for one model, as far as one of them is told."""

    model: ModelName
    routes: ModelRoutes | None  # None: it is not served any more
    crowded: bool  # they wait for others to end, or to be read
    waiting: int
    expected_s: float | None  # of this one, from now on


class _Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a comment says, for people and for clients that know potluck."""

    model: str
    state: str
    eta_s: float | None = None
    waiting: int = 0
    reason: str = ""


def comment(line: Line) -> bytes:
    if line.routes is None:
        note = _Note(line.model, "unplaced", waiting=line.waiting)
    else:
        eta_s = None if line.expected_s is None else round(line.expected_s, 1)
        note = _Note(line.model, line.routes.view.state, eta_s, line.waiting, _reason(line, line.routes))
    return b": keepalive %b\n\n" % msgspec.json.encode(note)


def come_back(line: Line, said: str) -> ApiError:
    retry_s = UNKNOWN_RETRY_S if line.expected_s is None else max(1, ceil(line.expected_s))
    if line.crowded:
        return saturated(f"{said}; try again", retry_s)
    reason = _reason(line, line.routes) if line.routes is not None else ""
    how = f" ({line.routes.view.state}: {reason})" if line.routes is not None and reason else ""
    return not_ready(f"{said}{how}; try again", retry_s)


def hopeless(model: ModelName, routes: ModelRoutes | None) -> ApiError:
    if routes is None:
        return ApiError(404, "model_not_found", f"`{model}` is not served here any more", "model")
    return not_ready(f"`{model}` cannot be served ({routes.view.state}: {routes.view.reason})", UNKNOWN_RETRY_S)


def unasked(request: InferenceRequest, routes: ModelRoutes | None) -> ApiError:
    """To a front end that asks for itself, and would have to wait for its model."""
    side = request.parsed.side
    return nobody_awake(request.model, routes.view.state if routes else "gone", side.kind if side else "")


def worth_waiting(routes: ModelRoutes) -> bool:
    """Nobody can serve it now, and it is on its way, will be when asked for, or only may not take more at present."""
    if routes.candidates or routes.outside:
        return False
    return routes.view.state in ON_ITS_WAY or bool(routes.held_up)


def eta_s(view: ModelView, since_s: float) -> float | None:
    """As the head expected when it published, so long ago."""
    return None if view.eta_s is None else max(0.0, view.eta_s - since_s)


def _reason(line: Line, routes: ModelRoutes) -> str:
    crowded = "all that it has is taken by other requests" if line.crowded else ""
    return routes.view.reason or routes.held_up or crowded
