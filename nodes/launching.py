"""From an engine's spec to what starts it here: this node's models, environments and hardware."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inventory.catalog import ArtifactId, HeldModel, StoredModel, purpose_of
from inventory.hardware import Hardware
from inventory.kv_cache import cache_parts
from inventory.store_records import DamagedRecordError, ModelNotFoundError
from nodes.engine_body import CannotLaunchError, LaunchPlan
from nodes.engine_builds import accelerators_of, build_named
from nodes.engine_envs import EngineEnvironment, installed
from nodes.engines.base import EngineAdapter
from nodes.orders import EngineSpec
from nodes.sealing.place import guard_engine
from nodes.snapshot import EngineKind


class ModelSource(Protocol):
    """What this room needs of the model store."""

    def held(self) -> Sequence[HeldModel]: ...

    def by_artifact(self, artifact_id: ArtifactId) -> StoredModel | None: ...

    def main_path(self, artifact_id: ArtifactId) -> Path: ...


@dataclass
class NodeFacts:
    """The last survey of this machine. One writer: the daemon."""

    hardware: Hardware | None = None


@dataclass(frozen=True, slots=True)
class NodeLauncher:
    engines_dir: Path
    store: ModelSource
    adapters: Mapping[EngineKind, EngineAdapter]
    facts: NodeFacts

    def plan(self, spec: EngineSpec) -> LaunchPlan:
        """Raises CannotLaunchError with what to do about it."""
        hardware = self.facts.hardware
        model = self._model(spec)
        if hardware is not None and (why := self.adapters[spec.kind].why_not(model, hardware)):
            raise CannotLaunchError(spec.engine_id, why)
        environment = self._environment(spec)
        _guard(spec, environment)
        cache_bytes, state_bytes = self._cache_bytes(spec)
        return LaunchPlan(
            model_path=self._path(spec),
            python=environment.python,
            engine_version=environment.version,
            accelerated=hardware is not None and _accelerated(environment, hardware),
            kv_cache_bytes=cache_bytes,
            state_cache_bytes=state_bytes,
            purpose=purpose_of(model.capabilities),
            whole_tokens=_whole_tokens(model, spec),
        )

    def _model(self, spec: EngineSpec) -> HeldModel:
        for model in self.store.held():
            if model.ref.artifact_id == spec.model.artifact_id:
                return model
        raise CannotLaunchError(
            spec.engine_id,
            f"this node does not hold {spec.model} ({spec.model.artifact_id[:12]}); see: potluck models ls",
        )

    def _environment(self, spec: EngineSpec) -> EngineEnvironment:
        for environment in installed(self.engines_dir):
            if environment.kind == spec.kind:
                return environment
        raise CannotLaunchError(
            spec.engine_id,
            f"{spec.kind} is not installed in {self.engines_dir}; run: potluck engines install {spec.kind}",
        )

    def _path(self, spec: EngineSpec) -> str:
        try:
            return str(self.store.main_path(spec.model.artifact_id))
        except (ModelNotFoundError, DamagedRecordError) as error:
            raise CannotLaunchError(spec.engine_id, str(error)) from error

    def _cache_bytes(self, spec: EngineSpec) -> tuple[int | None, int]:
        stored = self.store.by_artifact(spec.model.artifact_id)
        if stored is None:
            return None, 0
        return cache_parts(stored.artifact.spec, spec.context_tokens, spec.slots, spec.cache_tokens)


def _guard(spec: EngineSpec, environment: EngineEnvironment) -> None:
    """In sealed mode no engine starts that would not be guarded."""
    try:
        guard_engine(environment.python)
    except OSError as error:
        reason = f"this machine is sealed, and the guard cannot be put into {environment.python}'s environment: {error}"
        raise CannotLaunchError(spec.engine_id, reason) from error


def _whole_tokens(model: HeldModel, spec: EngineSpec) -> int:
    attention = model.shape.attention if model.shape is not None else None
    if attention is None or attention.causal:
        return 0
    return min(spec.context_tokens, model.context_length or spec.context_tokens)


def _accelerated(environment: EngineEnvironment, hardware: Hardware) -> bool:
    """Whether the build that is installed computes on a GPU of this machine."""
    build = build_named(environment.kind, environment.build)
    return build is not None and bool(accelerators_of(build, hardware))
