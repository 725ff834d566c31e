"""Whether this gateway can answer anything, and if not, why."""

from pydantic import BaseModel

from router.view import GatewayView


class Readiness(BaseModel):
    ready: bool
    reasons: list[str]
    snapshot_age_s: float | None  # since the head was heard; None if it never was by this process


def readiness(view: GatewayView, draining: bool) -> Readiness:
    reasons = []
    if draining:
        reasons.append("this gateway is stopping")
    if view.access is None:
        reasons.append("no access snapshot yet: the head has not been heard")
    if view.cluster is None:
        reasons.append("no cluster snapshot yet: the head has not been heard")
    elif not any(True for _ in view.candidates()) and not _any_sleeps(view):
        reasons.append("no engine is ready: " + (_why_none(view) or "no model is configured"))
    return Readiness(ready=not reasons, reasons=reasons, snapshot_age_s=view.age_s)


def _any_sleeps(view: GatewayView) -> bool:
    """What starts when asked for can answer."""
    return any(routes.view.state in ("asleep", "yielding") for routes in view.table.models.values())


def _why_none(view: GatewayView) -> str:
    return "; ".join(
        f"{name} is {routes.view.state}" + (f" ({routes.view.reason})" if routes.view.reason else "")
        for name, routes in sorted(view.table.models.items())
    )
