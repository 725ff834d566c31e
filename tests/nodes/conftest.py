"""Shared by the tests of real engines: the packaged model, as every kind of artifact."""

from pathlib import Path

import pytest

from inventory.acquire import acquire
from inventory.clock import SystemClock
from inventory.sources import PackagedSource
from inventory.store import ModelStore
from nodes.convert import Conversion, convert
from nodes.engine_envs import EngineEnvironment
from support.real_engines import engines_directory, installed_engine


@pytest.fixture(scope="session")
def engines_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_directory(tmp_path_factory)


@pytest.fixture(scope="session")
def mlx(engines_dir: Path) -> EngineEnvironment:
    return installed_engine("mlx", engines_dir)


@pytest.fixture(scope="session")
def all_formats(engines_dir: Path, mlx: EngineEnvironment, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A store that holds smollm2 as GGUF, safetensors and MLX, converted the product's way."""
    store = ModelStore(tmp_path_factory.mktemp("models"), SystemClock())
    acquire(store, PackagedSource("smollm2"), "smollm2", allow_network=False)
    convert(store, engines_dir, Conversion("smollm2", "safetensors"))
    convert(store, engines_dir, Conversion("smollm2", "mlx"))
    return store
