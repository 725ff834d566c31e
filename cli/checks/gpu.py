"""GPUs: whether their drivers answer, who holds their memory, and whether an engine here computes on them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cli.checks.finding import Result, fail, ok, warn
from cli.checks.memory import own_processes, process_words
from cli.checks.situation import Situation
from inventory.apple_facts import parse_sysctl, wired_limit
from inventory.hardware import default_reserve
from inventory.host_facts import read_host
from inventory.nvidia_facts import DriverFacts, GpuFacts
from inventory.probe_nvidia import has_nvidia_gpu, opened_driver, read_driver, trouble
from inventory.sizes import format_bytes
from nodes.engine_builds import build_named
from nodes.engine_condition import condition_of, whole_kinds
from nodes.engine_envs import EngineEnvironment

LEAST_MACOS = 14  # mlx and its memory limit of the GPU


def check_nvidia(situation: Situation) -> Iterator[Result]:
    """The driver, as its own library tells it."""
    sources = situation.sources
    try:
        nvml = sources.load_nvml()
    except ImportError:
        if has_nvidia_gpu(sources.root):
            yield warn("an NVIDIA GPU is here, and the library to ask it is not", "pip install 'nvidia-ml-py>=13.580'")
        return
    try:
        with opened_driver(nvml):
            facts = read_driver(nvml)
    except nvml.NVMLError as error:
        told = trouble(nvml, error, sources.root)
        if told is not None:
            absent = isinstance(error, (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded))
            yield (warn if absent else fail)(*told)
        return
    yield from of_driver(facts, own_processes(situation))
    yield from engines_for(facts, situation.paths.engines)


def of_driver(facts: DriverFacts, own_pids: frozenset[int]) -> Iterator[Result]:
    for warning in facts.warnings:
        yield fail(warning.partition(";")[0], "see what nvidia-smi says; a GPU that fell off its bus needs a restart")
    for gpu in facts.gpus:
        if gpu.memory is None and not gpu.is_integrated:
            yield warn(f"{gpu.name} does not tell its memory, so it is left alone", "see what nvidia-smi says")
        else:
            yield _memory(gpu, own_pids)


def engines_for(facts: DriverFacts, engines_dir: Path) -> Iterator[Result]:
    """Whether one that is installed computes on NVIDIA's GPUs, and takes this driver."""
    if not facts.gpus:
        return
    found = [environment for kind in whole_kinds(engines_dir) if (environment := condition_of(engines_dir, kind)[1])]
    builds = [build for environment in found if (build := build_named(environment.kind, environment.build))]
    fitting = [build for build in builds if "nvidia" in build.vendors]
    if not fitting:
        yield warn(f"no engine that is installed computes on {facts.gpus[0].name}", _way_to_one(found))
    major = _major(facts.version)
    for build in fitting:
        if major is not None and build.least_driver is not None and major < build.least_driver:
            told = f"NVIDIA's driver {facts.version} is too old for {build.kind}"
            yield fail(told, f"install driver {build.least_driver} or later, and restart this machine")


def _major(version: str | None) -> int | None:
    first = (version or "").partition(".")[0]
    return int(first) if first.isdigit() else None


def _way_to_one(found: Sequence[EngineEnvironment]) -> str:
    present = any(environment.kind == "vllm" for environment in found)
    return f"{'potluck engines remove vllm && ' if present else ''}potluck engines install vllm"


def _memory(gpu: GpuFacts, own_pids: frozenset[int]) -> Result:
    if gpu.memory is None:
        return ok(f"{gpu.name}, which shares main memory")
    processes = gpu.processes or ()
    own = [process.used_bytes for process in processes if process.pid in own_pids]
    if own_pids and (gpu.processes is None or None in own):
        return ok(f"{gpu.name} ({gpu.pool_id}), whose driver does not tell who holds how much")
    others = [process for process in processes if process.pid not in own_pids]
    used = max(0, gpu.memory.used_bytes - sum(size for size in own if size is not None))
    told = f"{gpu.name} ({gpu.pool_id}): {format_bytes(used)} of {format_bytes(gpu.memory.total_bytes)} used by others"
    if used * 2 <= gpu.memory.total_bytes:
        return ok(told)
    who = ", ".join(process_words(process.pid, process.used_bytes) for process in others)
    return warn(f"{told}{f': {who}' if who else ''}", "end what is not needed there; nvidia-smi shows who it is")


def check_mac(situation: Situation) -> Iterator[Result]:
    text = situation.sources.ask_sysctl()
    if text is None:
        return
    yield from macos(read_host().os_version)
    yield from wired(parse_sysctl(text))


def macos(version: str) -> Iterator[Result]:
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < LEAST_MACOS:
        told = f"macOS {version}: mlx needs {LEAST_MACOS} or later, and so does a limit for the GPU's memory"
        yield fail(told, "update macOS (System Settings, General, Software Update)")
    else:
        yield ok(f"macOS {version}")


def wired(facts: Mapping[str, str]) -> Iterator[Result]:
    """What the GPU of an Apple chip may hold of the memory that it shares."""
    if facts.get("hw.optional.arm64") != "1":
        return
    total = int(facts["hw.memsize"])
    limit, usual = wired_limit(facts, total), wired_limit({}, total)
    told = f"the GPU may hold {format_bytes(limit)} of {format_bytes(total)}"
    back = "sudo sysctl iogpu.wired_limit_mb=0 gives it back to macOS"
    if limit < usual:
        yield warn(f"{told}, less than what macOS would give it ({format_bytes(usual)})", back)
    elif total - limit < default_reserve(total):
        yield warn(f"{told}, which leaves the system {format_bytes(total - limit)}", back)
    else:
        yield ok(told)
