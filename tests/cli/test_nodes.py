"""`potluck nodes` and `status --watch` against a real head with machines made for the test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli.changes import changes
from cli.render_nodes import LabelError, parse_labels
from cluster.controller import ControllerTimes
from cluster.node_watch import WatchTimes
from cluster.service import HeadSettings
from inventory.paths import StatePaths
from support.cluster_facts import held, node
from support.command import Place
from support.fake_node import FakeNode
from support.gateway import cluster_of, engine_at
from support.heads import running_head

TEXT = "version: 1\nmodels: {smol: {source: packaged:smollm2, engine: llamacpp}}\n"
TIMES = ControllerTimes(tick_s=0.05, watch=WatchTimes(every_s=0.02), settle_s=0.5)


@asynccontextmanager
async def head(root: Path, *machines: FakeNode) -> AsyncIterator[Place]:
    paths = StatePaths.at(root / "state").ensure()
    paths.config_file.write_text(TEXT)
    async with running_head(HeadSettings(paths, times=TIMES), machines):
        yield Place(paths.root)


@pytest.mark.e2e
async def test_machines_are_listed_inspected_labelled_cordoned_and_their_logs_read(tmp_path: Path) -> None:
    box = FakeNode(node("box", [held("smol")]))
    async with head(tmp_path, box) as place:
        labelled = await place.potluck("nodes", "label", "box", "room=attic")
        cordoned = await place.potluck("nodes", "cordon", "box")
        listed = await place.potluck("nodes", "ls")
        document = json.loads((await place.potluck("nodes", "ls", "--json")).out)
        sheet = await place.potluck("nodes", "inspect", "box")
        log = await place.potluck("nodes", "logs", "box", "smol.box.1", "-n", "3")
        unknown = await place.potluck("nodes", "inspect", "bx")

    assert (labelled.out, cordoned.status) == ("room=attic\n", 0)
    assert "cordoned by the operator" in listed.out and "room=attic" in listed.out
    assert (document["apiVersion"], document["kind"]) == ("potluck/v1", "NodeList")
    assert [(one["node_id"], one["state"], one["duty"]) for one in document["nodes"]] == [("box", "cordoned", "cordon")]
    assert "to take nothing new" in sheet.out and "smol@r1 as gguf, 1.0 GiB" in sheet.out
    assert log.out == "the last 3 lines of smol.box.1\n"
    assert (unknown.status, "did you mean box?" in unknown.err) == (4, True)


@pytest.mark.e2e
async def test_a_model_is_unloaded_and_loaded_by_name(tmp_path: Path) -> None:
    async with head(tmp_path, FakeNode(node("box", [held("smol")]))) as place:
        away = await place.potluck("models", "unload", "smol")
        back = await place.potluck("models", "load", "smol")
        unknown = await place.potluck("models", "unload", "smo")

    assert (away.status, "potluck models load smol ends that" in away.err) == (0, True)
    assert back.status == 0
    assert (unknown.status, "no model called smo; it has smol" in unknown.err) == (4, True)


@pytest.mark.e2e
async def test_a_drain_returns_when_the_machine_is_empty_and_says_what_is_left_when_it_is_not(tmp_path: Path) -> None:
    box = FakeNode(node("box", [held("smol")]))
    async with head(tmp_path, box) as place:
        while not box.snapshot.engines:  # noqa: ASYNC110 - the controller orders it within a tick
            await asyncio.sleep(0.01)
        box.become_ready()
        late = await place.potluck("nodes", "drain", "box", "--timeout", "2")
        draining = [replace(engine, state="stopped") for engine in box.snapshot.engines]
        box.snapshot = replace(box.snapshot, engines=tuple(draining))
        done = await place.potluck("nodes", "drain", "box")

    assert (late.status, "smol.box.1 is draining" in late.err) == (7, True)
    assert (done.status, "box: empty" in done.err) == (0, True)


async def test_a_watch_into_a_pipe_is_a_line_for_each_change(tmp_path: Path) -> None:
    box = FakeNode(node("box", [held("smol")]))
    async with head(tmp_path, box) as place:
        process = await place.start("status", "--watch")
        assert process.stdout is not None
        lines = [await process.stdout.readline() for _ in range(2)]
        box.unreachable = "connection refused"
        while b"suspect" not in lines[-1]:
            lines.append(await process.stdout.readline())
        process.terminate()
        await process.communicate()

    assert lines[0].decode()[9:] == "node box: ready\n"
    assert lines[-1].decode()[9:] == "node box: ready -> suspect: connection refused\n"


def test_a_change_is_told_once() -> None:
    before = cluster_of([engine_at(None, "toy-1", state="starting")])
    after = cluster_of([engine_at(None, "toy-1")], models=())

    assert list(changes(after, after)) == []
    assert list(changes(before, after)) == [
        "engine toy-1: starting (generation 1) -> ready (generation 1): for a test",
        "model toy: gone",
    ]
    assert next(changes(None, after)) == "node here: ready"


def test_labels_are_read_as_an_operator_types_them() -> None:
    assert parse_labels(["room=attic", "tier-", "note=a=b", "empty="]) == {
        "room": "attic",
        "tier": None,
        "note": "a=b",
        "empty": "",
    }
    for wrong in ("room", "=attic", "-", ""):
        with pytest.raises(LabelError):
            parse_labels([wrong])
