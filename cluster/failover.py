"""Which of two links to a node is in use, and since when: values in, values out."""

from dataclasses import dataclass, replace

RETRY_FIRST_S, RETRY_LAST_S = 5.0, 30.0


@dataclass(frozen=True, slots=True)
class Route:
    """`down_since_s` is None while the primary works. Times are monotonic."""

    down_since_s: float | None = None
    retry_at_s: float = 0.0
    wait_s: float = RETRY_FIRST_S
    reason: str = ""

    @property
    def on_primary(self) -> bool:
        return self.down_since_s is None

    def tries_primary(self, now_s: float) -> bool:
        """Always while it works; when it does not, each time its wait is over."""
        return self.down_since_s is None or now_s >= self.retry_at_s


def failed(route: Route, reason: str, now_s: float) -> Route:
    """The primary did not get through. The wait doubles: each try costs the fallback a moment."""
    if route.down_since_s is None:
        return Route(now_s, now_s + RETRY_FIRST_S, RETRY_FIRST_S, reason)
    wait_s = min(RETRY_LAST_S, route.wait_s * 2)
    return replace(route, retry_at_s=now_s + wait_s, wait_s=wait_s, reason=reason)


def recovered(_route: Route) -> Route:
    return Route()
