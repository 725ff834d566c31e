"""Which build of an engine a machine gets, and what the locks of all builds have to keep to."""

import re
from pathlib import Path

import pytest

from inventory.hardware import Accelerator, Hardware, Host, PoolId
from nodes.engine_builds import BUILDS, EngineBuild, NoBuildError, build_for
from nodes.snapshot import EngineKind

LOCKS = Path(__file__).parents[2] / "nodes" / "engines" / "locks"
NVIDIA = Accelerator("nvidia", "RTX 4090", PoolId("vram:0"), "580", "8.9")
APPLE = Accelerator("apple", "Apple M3 Ultra", PoolId("unified"), None, "metal3")


def machine(os: str, arch: str, *accelerators: Accelerator) -> Hardware:
    host = Host(os, "1", arch, None, None, None, None)  # type: ignore[arg-type]  # a parameter of these tests
    return Hardware(host, (), accelerators, None, None)


@pytest.mark.parametrize(
    ("kind", "hardware", "lock"),
    [
        ("vllm", machine("linux", "x86_64", NVIDIA), "vllm-cuda"),
        ("vllm", machine("linux", "x86_64"), "vllm-cpu"),
        ("mlx", machine("macos", "arm64", APPLE), "mlx-metal"),
        ("mlx", machine("linux", "x86_64", NVIDIA), "mlx-cpu"),
        ("mlx", machine("linux", "aarch64"), "mlx-cpu"),
        ("llamacpp", machine("macos", "arm64", APPLE), "llamacpp"),
        ("llamacpp", machine("linux", "x86_64", NVIDIA), "llamacpp"),
    ],
)
def test_a_machine_gets_the_build_that_uses_its_gpu_else_the_plain_one(
    kind: EngineKind, hardware: Hardware, lock: str
) -> None:
    assert build_for(kind, hardware).lock == lock


@pytest.mark.parametrize(
    ("kind", "hardware"),
    [
        ("vllm", machine("macos", "arm64", APPLE)),
        ("vllm", machine("linux", "arm64")),
        ("mlx", machine("macos", "x86_64")),
    ],
)
def test_a_machine_that_no_build_is_for_is_told_which_ones_there_are(kind: EngineKind, hardware: Hardware) -> None:
    with pytest.raises(NoBuildError, match=f"it has builds for .*, and this machine is {hardware.host.os}"):
        build_for(kind, hardware)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: str(build.lock))
def test_every_build_has_a_lock_that_names_its_distribution_with_hashes(build: EngineBuild) -> None:
    text = (LOCKS / f"{build.lock}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text[text.index("\n", text.index("make lock")) + 1 :].strip())

    assert re.search(rf"^{re.escape(build.distribution)}==\S+ ", text, re.MULTILINE)
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links", text) == []


def test_every_lock_belongs_to_a_build() -> None:
    assert {path.stem for path in LOCKS.glob("*.txt")} == {build.lock for build in BUILDS}
