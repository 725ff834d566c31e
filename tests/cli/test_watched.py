"""`--watch` of lists: in a terminal in place, in a pipe again whenever something has changed."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.store import ModelStore
from support.command import Place
from support.gguf_files import write_gguf
from support.golden_fleet import CLUSTER
from support.real_terminal import LEFT, in_a_terminal
from support.scripted import answering


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[StatePaths]:
    paths = StatePaths.at(tmp_path / "s").ensure()
    with answering(paths.head_socket, {"GET /api/v1/snapshot": CLUSTER}):
        yield paths


@pytest.mark.parametrize("words", [("nodes", "ls", "--watch"), ("status", "-w")])
def test_a_list_stays_in_place_until_q(paths: StatePaths, words: tuple[str, ...]) -> None:
    with in_a_terminal(*words, state_dir=paths.root) as terminal:
        terminal.until("mac-studio-in-the-attic")
        terminal.press("q")

        assert terminal.ended() == 0
        assert terminal.settings() == terminal.before
    assert LEFT in terminal.written


async def test_in_a_pipe_it_comes_again_when_it_has_changed(paths: StatePaths, tmp_path: Path) -> None:
    place = Place(paths.root)
    async with (
        asyncio.timeout(60),
        place.running("models", "ls", "--watch", "-o", "name") as names,
        place.running("models", "ls", "--watch", "--json") as documents,
    ):
        assert json.loads(await document(documents))["models"] == []
        ModelStore(paths.models, SystemClock()).import_path(write_gguf(tmp_path / "one.gguf"), "one")
        while await names.readline() != b"one\n":
            pass
        (model,) = json.loads(await document(documents))["models"]

    assert model["ref"]["name"] == "one"


async def document(stream: asyncio.StreamReader) -> str:
    """The next one."""
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append((await stream.readline()).decode())
    return "".join(lines)
