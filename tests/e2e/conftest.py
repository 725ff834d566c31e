"""One running potluck, and one demo, for the tests that only use it; a fresh machine for those that begin with none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from support.demo import running_demo
from support.machine import Machine, Running


@pytest.fixture(scope="session")
def shared_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("shared") / "state")
    yield machine
    machine.down()


ONE_MODEL = """version: 1
cluster: {name: home}
models:
  smollm2: {source: "packaged:smollm2", engine: llamacpp, context: 2048, slots: 4}
"""


@pytest.fixture(scope="session")
def running(shared_machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Running:
    """What pages and clients see of it is one model's."""
    config = tmp_path_factory.mktemp("config") / "cluster.yaml"
    config.write_text(ONE_MODEL)
    return shared_machine.up("--config", str(config))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Running]]:
    """Three simulated machines, with somebody who asks now and then."""
    with running_demo(tmp_path_factory.mktemp("demo") / "state") as found:
        yield found


@pytest.fixture
def client(running: Running) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=running.endpoint, api_key=running.api_key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "state")
    yield machine
    machine.potluck("down", expect=None)
