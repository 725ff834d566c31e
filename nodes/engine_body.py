"""What the effects of one engine's life do to the world: ports, secrets, leases, processes."""

import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from inventory.catalog import Purpose
from inventory.clock import Clock
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes import engine_log
from nodes.engine_probe import EngineProbe, authorization
from nodes.engine_profile import EngineProfile
from nodes.engines.base import EngineAdapter, EngineLaunch
from nodes.leases import Lease, read_lease, remove_lease, write_lease
from nodes.orders import EngineSpec
from nodes.process import EngineProcess
from nodes.rates import Rates
from nodes.rates_book import RatesBook
from nodes.snapshot import EngineEndpoint, EngineId, EngineKind

LOOPBACK = "127.0.0.1"
SECRET_PREFIX = "ple_"  # so that a secret is known for one wherever it may turn up


class CannotLaunchError(Exception):
    """This node cannot start such an engine: no environment, no model, no adapter. The node API answers 422."""

    def __init__(self, engine_id: EngineId, reason: str) -> None:
        super().__init__(f"{engine_id} cannot start here: {reason}")
        self.engine_id, self.reason = engine_id, reason


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What a spec becomes on this node."""

    model_path: str
    python: str
    engine_version: str | None
    accelerated: bool
    kv_cache_bytes: int | None = None
    state_cache_bytes: int = 0
    purpose: Purpose = "write"
    whole_tokens: int = 0


class Launcher(Protocol):
    """Knows this node's models and engine environments."""

    def plan(self, spec: EngineSpec) -> LaunchPlan:
        """Raises CannotLaunchError with a reason for people."""
        ...


class Gate(Protocol):
    """Knows how much memory is left."""

    def why_not(self, spec: EngineSpec) -> str | None:
        """Why this engine cannot start beside those that run; None where it can."""
        ...


class NoGate:
    """Lets every engine in: of a bench, or of a test, that looks after memory itself."""

    def why_not(self, spec: EngineSpec) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every engine of this node shares."""

    paths: StatePaths
    clock: Clock
    adapters: Mapping[EngineKind, EngineAdapter]
    launcher: Launcher
    gate: Gate = field(default_factory=NoGate)
    rates: RatesBook | None = None  # None: nothing is measured

    def adapter(self, spec: EngineSpec) -> EngineAdapter:
        try:
            return self.adapters[spec.kind]
        except KeyError:
            raise CannotLaunchError(spec.engine_id, f"this node has no adapter for {spec.kind}") from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The order: an engine of this spec should run."""

    spec: EngineSpec
    config_revision: int


class EngineBody:
    """One generation of one engine: its process and its lease."""

    def __init__(
        self, workshop: Workshop, lease: Lease, process: EngineProcess, purpose: Purpose | None = None
    ) -> None:
        self._workshop, self.lease, self._process, self._purpose = workshop, lease, process, purpose
        self.endpoint = EngineEndpoint(LOOPBACK, lease.port, lease.secret_file)

    @classmethod
    def spawn(cls, workshop: Workshop, wanted: Wanted, generation: int) -> "EngineBody":
        """Secret, process behind its gate, lease, and only then the engine. Raises CannotLaunchError, OSError."""
        spec, paths = wanted.spec, workshop.paths
        plan = workshop.launcher.plan(spec)
        launch = _launch(spec, plan, paths, generation)
        log = log_file(paths, spec.engine_id)
        engine_log.trim(log)
        log_offset = engine_log.size_bytes(log)
        with contextlib.ExitStack() as undo:
            secret_file = Path(str(launch.secret_file))
            undo.callback(secret_file.unlink, missing_ok=True)
            write_secret(secret_file, SECRET_PREFIX + secrets.token_urlsafe(32))
            process = EngineProcess.hold(workshop.adapter(spec).command(launch), log)
            undo.callback(process.discard)
            lease = Lease(
                engine_id=spec.engine_id,
                pid=process.identity.pid,
                start_mark=process.identity.start_mark,
                boot_id=process.identity.boot_id,
                generation=generation,
                port=launch.port,
                secret_file=launch.secret_file,
                config_revision=wanted.config_revision,
                engine_version=plan.engine_version,
                spec=spec,
                started_s=workshop.clock.wall_s(),
                log_offset=log_offset,
            )
            write_lease(paths.leases, lease)
            undo.pop_all()
        process.release()
        return cls(workshop, lease, process, plan.purpose)

    @classmethod
    def adopt(cls, workshop: Workshop, lease: Lease) -> "EngineBody":
        return cls(workshop, lease, EngineProcess.adopt(lease.identity))

    def probe(self) -> EngineProbe:
        spec = self.lease.spec
        return EngineProbe(self._workshop.adapter(spec), self.endpoint, spec.model.name, self.lease.pid)

    async def exit_status(self) -> int | None:
        """Until the process and its group are gone; None where the status cannot be known."""
        return await self._process.wait()

    def terminate(self) -> None:
        self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.signal(signal.SIGKILL)

    def reap(self) -> None:
        """The process is gone: forget secret and lease."""
        if self.lease.secret_file is not None:
            Path(self.lease.secret_file).unlink(missing_ok=True)
        remove_lease(self._workshop.paths.leases, self.lease.engine_id)

    @property
    def rates(self) -> Rates | None:
        book = self._workshop.rates
        return None if book is None else book.of(self.lease.spec, self.lease.engine_version)

    def look_for_rates(self) -> bool:
        """Whether this machine knows how fast it is, or does not want to. Reads what other daemons have measured."""
        book = self._workshop.rates
        if book is None:
            return True
        book.look_again()
        return self.rates is not None

    async def measure(self) -> None:
        """Profile it, if it was started here and writes. For one that nobody else asks yet."""
        if self._purpose != "write":
            return
        endpoint, spec, clock = self.endpoint, self.lease.spec, self._workshop.clock
        profile = EngineProfile(endpoint, authorization(endpoint), spec.model.name, spec.context_tokens, clock)
        found = await profile.rates(spec.slots)
        if found is not None and self._workshop.rates is not None:
            self._workshop.rates.put(spec, self.lease.engine_version, found)

    def trim_log(self) -> None:
        engine_log.trim(log_file(self._workshop.paths, self.lease.engine_id))


def first_output(paths: StatePaths, engine_id: EngineId, generation: int) -> str:
    """What this start of the engine wrote first; empty where that is not known any more."""
    lease = read_lease(paths.leases, engine_id)
    if lease is None or lease.generation != generation or lease.log_offset is None:
        return ""
    return engine_log.head(log_file(paths, engine_id), lease.log_offset)


def log_file(paths: StatePaths, engine_id: EngineId) -> Path:
    return paths.logs / f"engine-{engine_id}.log"


def _launch(spec: EngineSpec, plan: LaunchPlan, paths: StatePaths, generation: int) -> EngineLaunch:
    return EngineLaunch(
        engine_id=spec.engine_id,
        model_path=plan.model_path,
        served_name=spec.model.name,
        port=_free_port(),
        context_tokens=spec.context_tokens,
        slots=spec.slots,
        secret_file=str(paths.secrets / f"engine-{spec.engine_id}-{generation}"),
        python=plan.python,
        working_dir=str(paths.root),
        cache_dir=str(_cache_dir(Path(plan.python), paths)),
        accelerated=plan.accelerated,
        kv_cache_bytes=plan.kv_cache_bytes,
        state_cache_bytes=plan.state_cache_bytes,
        options=spec.options,
        cache_tokens=spec.cache_tokens,
        purpose=plan.purpose,
        whole_tokens=plan.whole_tokens,
    )


def _cache_dir(python: Path, paths: StatePaths) -> Path:
    """With the engine's own environment: it goes when that is removed or another version takes its place."""
    environment = python.parent.parent
    shared = (environment / "pyvenv.cfg").is_file() and os.access(environment, os.W_OK)
    return (environment if shared else paths.root) / "cache"


def _free_port() -> int:
    """A port that nobody listens on at this moment. Should somebody be quicker, the engine says so and ends."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
