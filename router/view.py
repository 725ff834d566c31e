"""What the gateway knows of the cluster: the last snapshots, and what follows from them, made once per snapshot."""

from collections.abc import Callable, Iterable
from pathlib import Path

from cluster.cache_rules import USUAL_CACHE, CacheRules
from cluster.pii.policy import KEY, POLICIES, PiiRules, Plan, Policy, Said, plan_of
from cluster.snapshot import AccessSnapshot, ClusterSnapshot, TokenIssuer
from inventory.clock import Clock
from inventory.secret_files import read_secret
from router.access import KeyRing, Tokens
from router.decision import Candidate, RoutingTable, routing_table
from router.errors import ApiError


class GatewayView:
    """Written by the feed, read by every request. A snapshot older than the one in place is ignored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard_s: float | None = None
        self._followers: list[Callable[[tuple[Candidate, ...]], None]] = []
        self._access_followers: list[Callable[[AccessSnapshot], None]] = []
        self.cluster: ClusterSnapshot | None = None
        self.access: AccessSnapshot | None = None
        self.table = RoutingTable({}, {})
        self.pii: dict[Policy | None, Plan] = {}  # by what a key says; only where something is to be looked for
        self._keys: KeyRing | None = None

    def on_change(self, follower: Callable[[tuple[Candidate, ...]], None]) -> None:
        """Call `follower` with every candidate after each change."""
        self._followers.append(follower)

    def on_access(self, follower: Callable[[AccessSnapshot], None]) -> None:
        """Call `follower` with each AccessSnapshot that is installed."""
        self._access_followers.append(follower)

    @property
    def keys(self) -> KeyRing:
        """Raises ApiError 503 before the first AccessSnapshot: without it nobody can be let in."""
        if self._keys is None:
            raise ApiError(503, "not_ready", "this gateway has not heard from the head yet").retry_after(2)
        return self._keys

    @property
    def cache_rules(self) -> CacheRules:
        return self.cluster.cache if self.cluster is not None else USUAL_CACHE

    def install_cluster(self, snapshot: ClusterSnapshot) -> bool:
        known = self.cluster
        if known is not None and (snapshot.epoch, snapshot.sequence) <= (known.epoch, known.sequence):
            return False
        self.cluster = snapshot
        self.table = routing_table(snapshot)
        self.pii = _plans(snapshot.pii)
        candidates = tuple(self.candidates())
        for follower in self._followers:
            follower(candidates)
        return True

    def install_access(self, access: AccessSnapshot) -> bool:
        """Raises OSError or ExposedSecretError where the pepper cannot be read."""
        known = self.access
        if known is not None and (access.epoch, access.sequence) <= (known.epoch, known.sequence):
            return False
        self._keys = KeyRing(access, read_secret(Path(access.pepper_file)).encode(), _tokens(access.issuer))
        self.access = access
        for follower in self._access_followers:
            follower(access)
        return True

    def heard(self) -> None:
        """The head is alive, whether or not it had news."""
        self._heard_s = self._clock.monotonic_s()

    @property
    def age_s(self) -> float | None:
        """Seconds since the head was heard, or None if it never was by this process."""
        return None if self._heard_s is None else self._clock.monotonic_s() - self._heard_s

    def candidates(self) -> Iterable[Candidate]:
        for routes in self.table.models.values():
            yield from routes.candidates


def _plans(rules: PiiRules) -> dict[Policy | None, Plan]:
    plans = {policy: plan_of(rules, (Said(KEY, policy),)) for policy in (None, *POLICIES)}
    return {policy: plan for policy, plan in plans.items() if plan is not None}


def _tokens(issuer: TokenIssuer | None) -> Tokens | None:
    if issuer is None:
        return None
    from router.bearer_tokens import TokenVerifier  # most clusters take no tokens, and it loads a library of ciphers

    return TokenVerifier(issuer)
