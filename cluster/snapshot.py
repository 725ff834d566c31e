"""The cluster at one instant, as published: one type for router, dashboard, Prometheus and CLI."""

from dataclasses import dataclass
from typing import Literal

from cluster.cache_rules import USUAL_CACHE, CacheRules
from cluster.fit_engines import EngineMemory
from cluster.limits import NO_LIMITS, NO_RULES, LimitRules, Limits
from cluster.pii.policy import NO_PII, PiiRules, Policy
from cluster.privacy import USUAL_CLASSES, USUAL_ZONE, ClassRule
from cluster.roles import Role, Scope
from cluster.router_policy import RouterPolicy, SideCalls, Warming
from cluster.routes import NamedRoute
from cluster.wishes import Duty
from inventory.catalog import Capability, ModelName, ModelRef
from nodes.snapshot import NodeId, NodeSnapshot

SCHEMA_VERSION = 1

NodeState = Literal["joining", "ready", "suspect", "lost", "cordoned", "draining"]
ModelState = Literal["unplaced", "asleep", "starting", "ready", "yielding", "failed"]
"""asleep: starts when somebody asks. yielding: finishes its requests and takes no others, as another gets its place or
nobody has asked for it for long. unplaced: no machine can run it as things are."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node's TLS port is, as others reach it."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as the controller sees it. `snapshot` is its last report, or None before the first."""

    node_id: NodeId
    state: NodeState
    reason: str
    since_s: float
    link: Literal["local", "ray", "https"]
    snapshot: NodeSnapshot | None
    duty: Duty = "serve"  # what the operator wants of it, whatever its state
    labels: tuple[tuple[str, str], ...] = ()
    address: NodeAddress | None = None  # None for the head's own machine
    link_reason: str = ""  # why the link is of its kind although a better one exists
    memories: tuple[EngineMemory, ...] = ()  # of its engines, where its ledger has corrected their figures
    zone: str = USUAL_ZONE  # "" for a machine that cluster.yaml leaves out: it is in none


@dataclass(frozen=True, slots=True)
class ModelView:
    """A configured model. `ref` is None until its artifact is known to some node."""

    name: ModelName
    ref: ModelRef | None
    state: ModelState
    reason: str  # why it is in this state, and what to do; "" when ready
    created_s: int  # wall time the artifact entered the store; what /v1/models calls `created`
    context_tokens: int | None
    capabilities: frozenset[Capability]
    keep_alive_s: float | None = None  # it sleeps after being idle for so long; None: it always runs
    eta_s: float | None = None  # until it serves, if it is on its way or asked for; None where nothing is known
    note: str = ""  # why it has fewer replicas than it could have, whatever its state
    fallback: tuple[ModelName, ...] = ()  # who answers in its place while it cannot, the preferred one first
    answers_kept_s: float | None = None  # the same request of a tenant gets the same answer for so long; None: never
    away: bool = False  # the operator has unloaded it, until he loads it again
    zones: tuple[str, ...] | None = None  # of the machines that `on` and `where` let it run on; None: not known


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """Versioned: `sequence` grows by one with each publication of one `epoch`; a lower (epoch, sequence) is older."""

    schema: int
    cluster: str
    epoch: int
    sequence: int
    config_revision: int
    taken_at_s: float
    nodes: tuple[NodeView, ...]
    models: tuple[ModelView, ...]
    aliases: tuple[tuple[str, str], ...] = ()  # (what a client may ask for, the name in `models`), sorted
    routes: tuple[NamedRoute, ...] = ()
    policy: RouterPolicy = "seconds"
    side_calls: SideCalls = "warm"
    cache: CacheRules = USUAL_CACHE
    warming: Warming = "off"
    pii: PiiRules = NO_PII
    classes: tuple[ClassRule, ...] = USUAL_CLASSES


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key as the gateway may know it: never the key, only HMAC-SHA256(pepper, key)."""

    key_id: str
    digest_hex: str
    role: Role
    tenant: str
    group: str
    data_class: str
    created_s: int
    expires_s: int | None = None
    name: str = ""  # what people call it; one key has it at a time
    scopes: tuple[Scope, ...] | None = None  # narrower than its role; None: all that its role may
    models: tuple[str, ...] | None = None  # names, with * for any characters; None: every model
    front_end: bool = False  # a program with users of its own, trusted to say for whom it asks
    limits: Limits = NO_LIMITS  # its own, which come before its group's
    answers_kept_s: int | None = None  # it may get the answer that its tenant got so long ago; None: as its model says
    pii: Policy | None = None  # what becomes of personal data in what it sends and gets; None: as cluster.yaml says
    line: str = ""  # the id of the key that this one was first, where it was rotated since
    totp: str | None = None  # what its second factor's secret follows from, with the pepper; None: it has none


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Whose bearer tokens are taken beside keys: EdDSA by this Ed25519 key only, whatever a token says of itself."""

    issuer: str
    audience: str
    public_key: str  # 32 bytes in base64url without padding: a JWK's `x`
    roles: tuple[Role, ...]  # those that a token may claim
    tenant: str


@dataclass(frozen=True, slots=True)
class PeopleRule:
    """Of whom `claim` says one of `any_of` has this role."""

    claim: str
    any_of: tuple[str, ...]
    role: Role
    group: str


@dataclass(frozen=True, slots=True)
class LoginIssuer:
    """By whom people log in at the dashboard, and who they then are: the first rule that holds, or nobody."""

    issuer: str
    client_id: str
    client_secret_file: str | None
    address: str  # of the gateway, as browsers reach it: scheme, host and port
    name: str
    scopes: tuple[str, ...]
    people: tuple[PeopleRule, ...]
    refused: tuple[str, ...]
    lasts_s: float
    origins: tuple[str, ...]
    authorities: str | None
    tenant: str


@dataclass(frozen=True, slots=True)
class AccessSnapshot:
    """Who may ask. Published beside the ClusterSnapshot, never inside it: dashboards read that one."""

    schema: int
    epoch: int
    sequence: int
    pepper_file: str
    keys: tuple[KeyRecord, ...]
    revoked: tuple[str, ...] = ()  # serials of certificates that no machine of the cluster accepts any more
    issuer: TokenIssuer | None = None
    limits: LimitRules = NO_RULES
    login: LoginIssuer | None = None
    second_factor: tuple[Role, ...] = ()  # whose keys log in at the dashboard with one only
