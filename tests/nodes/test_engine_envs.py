"""Engine environments: what counts as installed, and what a failed installation leaves behind."""

import sys
from pathlib import Path

import msgspec
import pytest

from nodes.engine_builds import BUILDS
from nodes.engine_envs import (
    MARKER,
    EngineEnvironment,
    EngineInstallError,
    UnknownEngineKindError,
    engine_kind,
    install,
    installed,
    remove,
)

(LLAMACPP,) = (build for build in BUILDS if build.kind == "llamacpp")


def environment_at(engines_dir: Path, python: Path) -> EngineEnvironment:
    (engines_dir / "llamacpp" / "bin").mkdir(parents=True)
    (engines_dir / "llamacpp" / "bin" / "python").symlink_to(python)
    environment = EngineEnvironment("llamacpp", "1", "/somewhere/else/python", "lock", 0.0)
    (engines_dir / "llamacpp" / MARKER).write_bytes(msgspec.json.encode(environment))
    return environment


def test_an_environment_counts_where_it_lies_not_where_it_was_made(tmp_path: Path) -> None:
    environment_at(tmp_path, Path(sys.executable))

    (found,) = installed(tmp_path)
    assert found.python == str(tmp_path / "llamacpp" / "bin" / "python")


def test_without_its_marker_or_its_python_it_does_not_count(tmp_path: Path) -> None:
    environment_at(tmp_path / "a", Path("/no/such/python"))
    environment_at(tmp_path / "b", Path(sys.executable))
    (tmp_path / "b" / "llamacpp" / MARKER).unlink()

    assert [installed(tmp_path / name) for name in ("a", "b", "nowhere")] == [(), (), ()]


def test_a_failed_installation_says_what_uv_said_and_leaves_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = environment_at(tmp_path / "engines", Path(sys.executable))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    steps: list[str] = []

    with pytest.raises(EngineInstallError, match="xllamacpp") as caught:
        install(LLAMACPP, tmp_path / "engines", steps.append)

    assert caught.value.step == "uv pip install"
    assert steps == ["creating the environment", "downloading and installing"]
    assert [found.version for found in installed(tmp_path / "engines")] == [former.version]
    assert sorted(path.name for path in (tmp_path / "engines").iterdir()) == [".llamacpp.lock", "llamacpp"]


def test_removing_is_complete_and_may_be_repeated(tmp_path: Path) -> None:
    environment_at(tmp_path, Path(sys.executable))
    remove("llamacpp", tmp_path)
    remove("llamacpp", tmp_path)

    assert installed(tmp_path) == ()
    assert not (tmp_path / "llamacpp").exists()


def test_a_kind_that_cannot_be_installed_is_named_with_those_that_can() -> None:
    assert [engine_kind(kind) for kind in ("encoder", "llamacpp")] == ["encoder", "llamacpp"]
    with pytest.raises(UnknownEngineKindError, match="this version installs encoder, llamacpp, mlx, vllm"):
        engine_kind("llama.cpp")
