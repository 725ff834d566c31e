"""Fault engines of every wire that chats: some that stand for all tests that only talk to them, one for who ends it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from nodes.snapshot import EngineKind
from support.engines import KINDS, FaultEngine, running_fault_engine


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[EngineKind], FaultEngine]]:
    """One of each kind, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def of(kind: EngineKind) -> FaultEngine:
            return stack.enter_context(running_fault_engine(tmp_path_factory.mktemp(kind), kind))

        yield of


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, standing: Callable[[EngineKind], FaultEngine]) -> FaultEngine:
    """With nothing left of what others had it say."""
    engine = standing(request.param)
    engine.script()
    return engine


@pytest.fixture(params=KINDS)
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FaultEngine]:
    """One for each test that ends it."""
    with running_fault_engine(tmp_path / "engine", request.param) as engine:
        yield engine
