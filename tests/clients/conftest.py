"""What every client is tried against: a real engine that all share, and a model whose side a test writes."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.relay.contract import Address
from support.client_models import CONTEXT_TOKENS, RealModel, ScriptedModel
from support.clients import Home, client_home
from support.engines import running_fault_engine
from support.gateway import cluster_of, engine_at, running_gateway
from support.machine import Machine, Running

CONFIG = f"""\
version: 1
cluster: {{name: home}}
models:
  smollm2: {{source: "packaged:smollm2", engine: llamacpp, context: {CONTEXT_TOKENS}, slots: 2}}
"""


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Running]]:
    root = tmp_path_factory.mktemp("clients")
    config = root / "cluster.yaml"
    config.write_text(CONFIG)
    machine = Machine(root / "state")
    yield machine, machine.up("--config", str(config))
    machine.down()


@pytest.fixture
def real_model(served: tuple[Machine, Running]) -> RealModel:
    return RealModel(*served, begun_s=time.time())


@pytest.fixture
async def scripted_model(tmp_path: Path) -> AsyncIterator[ScriptedModel]:
    """With a context that any client's instructions fit."""
    context = 200_000
    with running_fault_engine(tmp_path / "engine", "vllm", "--context", str(context)) as engine:
        serving = engine_at(Address("127.0.0.1", engine.port), kind="vllm", context_tokens=context)
        async with running_gateway(tmp_path, [serving]) as gateway:
            cluster = cluster_of([serving], sequence=2)
            models = tuple(replace(model, context_tokens=context) for model in cluster.models)
            gateway.view.install_cluster(replace(cluster, models=models))
            yield ScriptedModel(gateway, engine)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    async with client_home(tmp_path / "home") as home:
        yield home
        assert home.reached_for == []
