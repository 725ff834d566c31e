"""Faults of the machine itself: disks, memory, GPUs and their drivers. Where this machine can have one, it gets it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pynvml
import pytest

from cli.checks.disk import MIN_FREE_BYTES, Mount, Room, file_system, room
from cli.checks.finding import Finding, Result
from cli.checks.gpu import macos, of_driver, wired
from cli.checks.ports import local_name
from inventory.apple_facts import parse_sysctl
from inventory.nvidia_facts import GpuFacts, GpuProcess
from inventory.probe_nvidia import read_driver
from support.doctor_state import DoctorState, healthy_state, in_the_table, install_engine, verdicts
from support.machine import POTLUCK, eventually
from support.memory_group import MemoryGroup, memory_group
from support.nvml_driver import SampleDriver
from support.small_disk import fill, small_disk

APPLE = Path(__file__).parent.parent / "inventory" / "samples" / "apple"
HOG = Path(__file__).parent.parent / "support" / "memory_hog.py"
GIB = 1 << 30
NOTHING_RUNS = {"services": "warn"}


@pytest.fixture(autouse=True)
def _own_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POTLUCK_ENGINES_DIR", raising=False)


@pytest.fixture
def state(tmp_path: Path) -> DoctorState:
    return healthy_state(tmp_path / "state")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Room for a state directory, and no more than that by far."""
    with small_disk(tmp_path / "disk", "2100m") as place:
        yield place


def named(found: tuple[Finding, ...], name: str) -> list[Finding]:
    """What a check said, which is a line of the table where it is a fault."""
    said = [one for one in found if one.name == name]
    for one in said:
        if one.verdict != "ok":
            in_the_table(one.detail[:42], one)
    return said


def test_a_state_directory_in_memory_is_one_that_a_reboot_ends(disk: Path) -> None:
    found = healthy_state(disk / "s").findings()

    (told,) = named(found, "file system")
    assert (told.verdict, "tmpfs" in told.detail) == ("warn", True)
    assert "POTLUCK_STATE_DIR" in told.fix
    assert verdicts(found, frozenset({"container"})) == {**NOTHING_RUNS, "file system": "warn"}


def test_a_full_disk_fails_and_is_well_again_once_there_is_room(disk: Path) -> None:
    state = healthy_state(disk / "s")
    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
    before = verdicts(state.findings())
    ballast = fill(disk)
    found = state.findings()
    ballast.unlink()
    after = verdicts(state.findings())

    assert before["disk"] == "warn"
    (told,) = named(found, "disk")
    assert (told.verdict, "the disk is full" in told.detail, "potluck models rm" in told.fix) == ("fail", True, True)
    assert verdicts(found) == {**before, "disk": "fail"}
    assert after == before


def test_a_disk_that_went_read_only_is_named_for_what_it_is(disk: Path) -> None:
    state = healthy_state(disk / "s")
    before = verdicts(state.findings())
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    found = state.findings()

    (told,) = named(found, "disk")
    assert (told.verdict, "read-only" in told.detail, "remount,rw" in told.fix) == ("fail", True, True)
    assert verdicts(found, frozenset({"disk", "state", "records"})) == before


@pytest.mark.parametrize(
    ("mounts", "verdict"),
    [
        ([Mount("/", "ext4"), Mount("/srv", "nfs4")], "warn"),
        ([Mount("/", "ext4"), Mount("/srv", "nfs4"), Mount("/srv/potluck", "xfs")], "ok"),
        ([Mount("/", "ext4"), Mount("/srvother", "cifs")], "ok"),
        ([Mount("/", "overlay"), Mount("/srv", "cifs")], "warn"),
    ],
)
def test_a_network_file_system_is_found_by_the_nearest_mount(mounts: list[Mount], verdict: str) -> None:
    (told,) = file_system(Path("/srv/potluck/state"), mounts)

    assert told.verdict == verdict
    assert ("POTLUCK_STATE_DIR" in told.fix) == (verdict == "warn")


def test_a_disk_may_have_room_and_take_no_more_files() -> None:
    full = Room(Path("/srv"), 100 * GIB, files_left=0, read_only=False)

    assert (room(full).verdict, "inodes" in room(full).detail) == ("fail", True)
    assert room(replace(full, files_left=None)).verdict == "ok"
    assert room(replace(full, files_left=9, free_bytes=MIN_FREE_BYTES - 1)).verdict == "warn"


@pytest.mark.parametrize(
    ("failure", "gpu", "verdict", "fix"),
    [
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, True, "fail", "restart this machine"),
        (pynvml.NVML_ERROR_UNKNOWN, True, "fail", "nvidia-smi"),
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, True, "warn", "install or load NVIDIA's driver"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, True, "warn", "install or load NVIDIA's driver"),
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, False, None, ""),
    ],
)
def test_a_driver_that_does_not_work_is_told_where_there_is_a_gpu(
    state: DoctorState, tmp_path: Path, failure: int, gpu: bool, verdict: str | None, fix: str
) -> None:
    root = tmp_path / "root"
    if gpu:
        device = root / "sys/bus/pci/devices/0000:01:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text("0x030000\n")
    state.sources = replace(state.sources, load_nvml=SampleDriver(failure=failure).module, root=root)
    found = state.findings()

    assert [(one.verdict, fix in one.fix) for one in named(found, "nvidia")] == ([(verdict, True)] if verdict else [])
    assert verdicts(found, frozenset({"nvidia"})) == NOTHING_RUNS


def test_bindings_that_are_missing_are_missed_only_beside_a_gpu(state: DoctorState, tmp_path: Path) -> None:
    def absent() -> "type[int]":
        raise ImportError("No module named 'pynvml'")

    state.sources = replace(state.sources, load_nvml=absent, root=tmp_path / "none")  # type: ignore[arg-type]
    assert named(state.findings(), "nvidia") == []


def with_driver(state: DoctorState, driver: SampleDriver) -> tuple[Finding, ...]:
    state.sources = replace(state.sources, load_nvml=driver.module)
    return state.findings()


def test_gpus_that_work_with_an_engine_for_them_raise_no_alarm(state: DoctorState) -> None:
    install_engine(state.paths.engines, "vllm", "cuda")

    found = with_driver(state, SampleDriver("dgx-spark"))

    assert [one.verdict for one in named(found, "nvidia")] == ["ok"]
    assert verdicts(found, frozenset({"container", "file system"})) == NOTHING_RUNS


def test_a_gpu_that_fell_off_its_bus_one_that_hides_its_memory_and_one_without_an_engine(state: DoctorState) -> None:
    found = with_driver(state, SampleDriver("rtx-4090-pair", lost=(1,), silent=(0,)))

    told = {(one.verdict, one.fix) for one in named(found, "nvidia")}
    assert told == {
        ("fail", "see what nvidia-smi says; a GPU that fell off its bus needs a restart"),
        ("warn", "see what nvidia-smi says"),
        ("warn", "potluck engines install vllm"),
    }


def test_gpu_memory_that_others_hold_is_told_with_who_holds_it_where_that_is_known() -> None:
    facts = read_driver(SampleDriver("rtx-4090-pair").module())
    gpu = facts.gpus[0]
    assert gpu.memory is not None
    held = replace(gpu, memory=replace(gpu.memory, used_bytes=gpu.memory.total_bytes), processes=(GpuProcess(1, GIB),))
    mine = replace(held, processes=(GpuProcess(1, gpu.memory.total_bytes),))
    hidden = replace(held, processes=(GpuProcess(1, None),))

    def told(one: GpuFacts, own: frozenset[int]) -> Result:
        (result,) = of_driver(replace(facts, gpus=(one,)), own)
        return result

    others = told(held, frozenset())
    assert (others.verdict, "(1, 1.0 GiB)" in others.detail, "nvidia-smi" in others.fix) == ("warn", True, True)
    assert told(mine, frozenset({1})).verdict == "ok"
    assert told(hidden, frozenset({1})).verdict == "ok"
    assert told(hidden, frozenset()).verdict == "warn"


def test_a_driver_that_is_too_old_for_the_engine_here(state: DoctorState) -> None:
    install_engine(state.paths.engines, "vllm", "cuda")
    driver = SampleDriver("rtx-4090-pair")
    module = driver.module()
    module.__dict__["nvmlSystemGetDriverVersion"] = lambda: "550.54.14"
    state.sources = replace(state.sources, load_nvml=lambda: module)

    failed = [one for one in named(state.findings(), "nvidia") if one.verdict == "fail"]

    assert [one.detail for one in failed] == ["NVIDIA's driver 550.54.14 is too old for vllm"]
    assert "install driver 580" in failed[0].fix


def test_an_engine_built_for_the_processor_leaves_a_gpu_idle(state: DoctorState) -> None:
    install_engine(state.paths.engines, "vllm", "cpu")

    fixes = [one.fix for one in named(with_driver(state, SampleDriver("rtx-4090-pair")), "nvidia") if one.fix]

    assert "potluck engines remove vllm && potluck engines install vllm" in fixes


@pytest.mark.parametrize(("version", "verdict"), [("13.6.1", "fail"), ("14.0", "ok"), ("26.1", "ok")])
def test_a_macos_that_is_too_old_for_mlx(version: str, verdict: str) -> None:
    (told,) = macos(version)

    assert (told.verdict, "update macOS" in told.fix) == (verdict, verdict == "fail")


def test_a_limit_of_the_gpus_memory_is_told_where_it_is_too_low_or_leaves_the_system_nothing() -> None:
    usual = parse_sysctl((APPLE / "m2-max-96.txt").read_text())

    def wired_at(mib: int) -> Result:
        (told,) = wired({**usual, "iogpu.wired_limit_mb": str(mib)})
        return told

    assert [one.verdict for one in wired(usual)] == ["ok"]
    low, high, raised = wired_at(20_000), wired_at(96 << 10), wired_at(80 << 10)
    assert (low.verdict, high.verdict, raised.verdict) == ("warn", "warn", "ok")
    assert "less than what macOS would give" in low.detail
    assert "leaves the system" in high.detail
    assert low.fix.startswith("sudo sysctl iogpu.wired_limit_mb=0")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [(("127.0.0.1",), "ok"), (("::1", "127.0.0.1"), "ok"), (("::1",), "warn"), ((), "warn"), (("10.0.0.9",), "warn")],
)
def test_a_localhost_that_is_not_this_machine(found: tuple[str, ...], verdict: str) -> None:
    told = local_name(found)

    assert (told.verdict, "127.0.0.1 localhost" in told.fix) == (verdict, verdict == "warn")


def test_a_container_that_leaves_a_small_part_of_the_machine(state: DoctorState, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for path, content in {
        "proc/self/cgroup": "0::/small\n",
        "sys/fs/cgroup/small/memory.max": f"{psutil.virtual_memory().total // 8}\n",
        "sys/fs/cgroup/small/memory.current": "1000\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    before = verdicts(state.findings())
    state.sources = replace(state.sources, root=root)
    found = state.findings()

    (told,) = named(found, "container")
    assert (told.verdict, "MemoryMax=" in told.fix) == ("warn", True)
    assert verdicts(found, frozenset({"container"})) == {**before, **NOTHING_RUNS}


def doctored(state: DoctorState, group: MemoryGroup) -> tuple[Finding, ...]:
    """The command itself, inside."""
    done = subprocess.run(
        [*group.enter, str(POTLUCK), "doctor", "gpu", "--json", "--state-dir", str(state.paths.root)],
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(Finding(**one) for one in json.loads(done.stdout)["findings"])


def test_a_program_that_holds_the_memory_which_a_model_needs_is_named(state: DoctorState) -> None:
    text = state.paths.config_file.read_text()
    state.paths.config_file.write_text(text.replace("box: {}", "box: {memory: {reserve: 200MiB}}"))
    with memory_group(600 << 20) as group:
        before = [one for one in doctored(state, group) if one.name == "memory"]
        hog = subprocess.Popen([*group.enter, sys.executable, "-I", str(HOG), "420", "4000", "600", "0"])
        try:
            eventually(lambda: group.used_bytes > 420 << 20, 60, "the hog has its memory")
            found = [one for one in doctored(state, group) if one.name == "memory"]
        finally:
            hog.kill()
            hog.wait()

    assert [one.verdict for one in before] == ["ok"]
    (crowded,) = [one for one in found if one.detail.startswith("smol takes 4.5 KiB for its weights alone")]
    assert (crowded.verdict, "end programs that are not needed" in crowded.fix) == ("warn", True)
    assert f"({hog.pid}, " in crowded.detail
