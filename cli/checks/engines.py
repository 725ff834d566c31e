"""Engines: whether their environments are whole, whether they load, and what the cluster says of those that run."""

import shutil
import sys
from collections.abc import Iterator

from cli.checks.finding import Result, fail, ok, warn
from cli.checks.situation import Situation
from nodes.engine_builds import KINDS
from nodes.engine_condition import DoesNotLoadError, condition_of, try_load, whole_kinds
from nodes.snapshot import EngineSnapshot

LOADS_WITHIN_S = 60.0  # each; vLLM takes ten seconds on a fast machine


def check_engines(situation: Situation) -> Iterator[Result]:
    """The environments, by their files."""
    place = situation.paths.engines
    whole: list[str] = []
    present = False
    for kind in KINDS:
        condition, marker = condition_of(place, kind)
        install = f"potluck engines install {kind}"
        version = f"{kind} {marker.version}" if marker is not None else kind
        present = present or condition != "absent"
        if condition == "unfinished":
            yield fail(f"{kind} in {place} was not installed to its end, or is damaged", install)
        elif condition == "no python":
            told = f"{version}: the Python that it was built on is gone ({place / kind}/bin/python leads nowhere)"
            yield fail(told, install)
        elif condition == "outdated":
            yield warn(f"{version} is not the version that goes with this potluck", install)
        elif condition == "whole":
            whole.append(version)
    if whole:
        yield ok(f"{', '.join(whole)} in {place}")
    elif not present:
        yield fail(f"none in {place}", "potluck engines install llamacpp")


def check_loading(situation: Situation) -> Iterator[Result]:
    """One after the other: each is imported by its own python, as at its start."""
    place, loaded = situation.paths.engines, []
    for kind in whole_kinds(place):
        _, environment = condition_of(place, kind)
        assert environment is not None, "it is whole"
        again = f"potluck engines remove {kind} && potluck engines install {kind}"
        try:
            try_load(place, environment, LOADS_WITHIN_S)
        except DoesNotLoadError as error:
            yield fail(f"{kind} {environment.version} does not start: {error.reason}", again)
        except TimeoutError:
            yield warn(f"{kind} did not load within {LOADS_WITHIN_S:.0f} s", f"free processor and disk; else {again}")
        else:
            loaded.append(kind)
    if loaded:
        yield ok(f"{', '.join(loaded)} loaded")


def check_compiler(situation: Situation) -> Iterator[Result]:
    """Without an Apple GPU, MLX compiles its kernels with g++ when it answers for the first time."""
    condition, environment = condition_of(situation.paths.engines, "mlx")
    if sys.platform != "linux" or environment is None or condition not in ("whole", "outdated"):
        return
    compiler = shutil.which("g++")
    if compiler is None:
        yield fail("mlx on Linux compiles its kernels, and there is no g++ here", "sudo apt-get install g++")
    else:
        yield ok(f"{compiler}, for mlx")


def check_running_engines(situation: Situation) -> Iterator[Result]:
    """As the head sees them, on every machine."""
    if situation.snapshot is None:
        return
    running = 0
    for node in situation.snapshot.nodes:
        for engine in node.snapshot.engines if node.snapshot is not None else ():
            running += engine.state == "ready"
            yield from _ill(engine, node.node_id)
    yield ok(f"{running} serving")


def check_served_models(situation: Situation) -> Iterator[Result]:
    """What cluster.yaml wants, and what became of it."""
    if situation.snapshot is None:
        return
    for model in situation.snapshot.models:
        if model.state == "failed":
            yield fail(f"{model.name} cannot be served: {model.reason}", "potluck status, then potluck nodes logs NODE")
        elif model.state == "unplaced":
            yield warn(f"{model.name} has no place: {model.reason}", f"potluck fit {model.name}")
    settled = [model.name for model in situation.snapshot.models if model.state not in ("failed", "unplaced")]
    if settled:
        yield ok(f"on their way or served: {', '.join(settled)}")


def _ill(engine: EngineSnapshot, node: str) -> Iterator[Result]:
    told = f"{engine.engine_id} on {node}: {engine.reason}"
    log = f"potluck nodes logs {node} {engine.engine_id} says why"
    if engine.state == "quarantined":
        yield fail(f"died too often, {told}", f"{log}; then potluck down && potluck up on {node}")
    elif engine.state == "backoff":
        yield warn(told, log)
