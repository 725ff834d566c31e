"""Planning with what is not there yet: models that are only known by name, machines that are only described. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cluster.config import ClusterConfig
from cluster.desired import WantedModel, desired_state
from cluster.fit_fleet import USUAL, machines
from cluster.placement_values import Candidate
from cluster.snapshot import NodeView
from inventory.catalog import ArtifactId, Capability, HeldModel, ModelRef
from inventory.known_models import QUANTISATIONS, known_model
from nodes.snapshot import EngineKind, InstalledEngine


def as_known(model: WantedModel) -> tuple[HeldModel, ...]:
    """The artifacts that its sources lead to, as far as its name tells their shape."""
    known = known_model(model.name)
    if known is None:
        return ()
    found: list[HeldModel] = []
    for kind, source in model.sources:
        shape = known.shape(_quantisation(source, kind))
        ref = ModelRef(model.name, "not here yet", ArtifactId(f"{model.name}-{kind}"), None, None)
        size, chat = shape.weight_bytes, frozenset[Capability]({"chat"})
        found.append(HeldModel(ref, model.format_for(kind), size, 0, known.context, chat, shape=shape))
    return tuple(found)


def with_known(candidates: Sequence[Candidate], models: Iterable[WantedModel]) -> list[Candidate]:
    """Every machine as if it held every known model that no machine holds."""
    held = {one.ref.name for candidate in candidates for one in candidate.snapshot.models}
    more = tuple(one for model in models if model.name not in held for one in as_known(model))
    return [_holding(candidate, more) for candidate in candidates]


def planning_candidates(
    config: ClusterConfig, nodes: Sequence[NodeView] = (), held: Sequence[HeldModel] = ()
) -> list[Candidate]:
    """Machines that report, and others as cluster.yaml describes them: with nothing that runs, with the engines that
    suit them, and with what `held` names on each."""
    desired = desired_state(config, 0)
    found: list[Candidate] = []
    for machine in machines(config, nodes):
        wanted = desired.node(machine.node_id)
        if wanted is not None:
            installed = tuple(InstalledEngine(kind, "not installed yet") for kind in machine.kinds)
            bare = replace(machine.snapshot, installed=installed, engines=(), models=())
            found.append(_holding(Candidate(wanted, bare, memories=machine.memories), tuple(held)))
    return found


def _holding(candidate: Candidate, more: tuple[HeldModel, ...]) -> Candidate:
    return replace(candidate, snapshot=replace(candidate.snapshot, models=(*candidate.snapshot.models, *more)))


def _quantisation(source: str, kind: EngineKind) -> str:
    """As the source's own name says it: hf:Qwen/Qwen3-14B-AWQ; else what is usual for the engine."""
    text = source.lower().replace("-", "_")
    return next((name for name in QUANTISATIONS if name in text), USUAL[kind])
