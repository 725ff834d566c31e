"""Shared by the tests of real engines: the packaged model, as every kind of artifact."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from inventory.acquire import acquire
from inventory.clock import SystemClock
from inventory.sources import PackagedSource
from inventory.store import ModelStore
from nodes.convert import Conversion, convert
from nodes.engine_envs import EngineEnvironment
from support.nodes import until_state
from support.real_engines import CHIEF, SMOLLM2, Served, engines_directory, installed_engine, llamacpp_supervisor


@pytest.fixture(scope="session")
def engines_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_directory(tmp_path_factory)


@pytest.fixture(scope="session")
def mlx(engines_dir: Path) -> EngineEnvironment:
    return installed_engine("mlx", engines_dir)


@pytest.fixture(scope="session")
def llamacpp(engines_dir: Path) -> EngineEnvironment:
    return installed_engine("llamacpp", engines_dir)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(llamacpp: EngineEnvironment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A llama.cpp for all who only talk to it."""
    root = tmp_path_factory.mktemp("llamacpp")
    async with llamacpp_supervisor(root, llamacpp) as supervisor:
        supervisor.ensure(SMOLLM2, CHIEF)
        yield Served(await until_state(supervisor, "ready"), root / "logs")


@pytest.fixture(scope="session")
def all_formats(engines_dir: Path, mlx: EngineEnvironment, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A store that holds smollm2 as GGUF, safetensors and MLX, converted the product's way."""
    store = ModelStore(tmp_path_factory.mktemp("models"), SystemClock())
    acquire(store, PackagedSource("smollm2"), "smollm2", allow_network=False)
    convert(store, engines_dir, Conversion("smollm2", "safetensors"))
    convert(store, engines_dir, Conversion("smollm2", "mlx"))
    return store
