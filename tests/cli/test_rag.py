"""`potluck rag` as an operator types it: beside a gateway that keeps documents, and where there is none."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.rag_moving import OutsideZonesError, moved_spaces
from cli.render_rag import print_hits
from cli.wire_rag import embedded_store, weaviate_store
from cluster.config_rag import WeaviateSection
from cluster.knowledge import Locator
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.role_lock import RoleLock
from rag.evaluation import Asked, Expected, Quality, judged, qualities
from rag.values import SpaceId
from router.knowledge.objects import HitMore, Place, SearchHit, SearchPage, TextPart
from support.command_here import Said, potluck
from support.documents import keeping_documents
from support.gateway import KEY, MODEL
from support.weaviate_wire import KEY as WEAVIATE_KEY
from support.weaviate_wire import weaviate_wire


@dataclass(frozen=True)
class Beside:
    """A gateway that keeps documents, and commands beside it."""

    paths: StatePaths

    async def rag(self, *arguments: str, expect: int = 0) -> Said:
        return await asyncio.to_thread(potluck, "rag", self.paths, *arguments, expect=expect)


@asynccontextmanager
async def beside(root: Path) -> AsyncIterator[Beside]:
    async with keeping_documents(root) as running:
        write_secret(running.paths.owner_key, KEY)
        lock = RoleLock(running.paths.run, "gateway")
        lock.acquire()
        lock.publish(f"{running.base_url}/v1")
        try:
            yield Beside(running.paths)
        finally:
            lock.release()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Beside]:
    async with beside(tmp_path) as made:
        yield made


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "biology").mkdir(parents=True)
    (folder / "biology" / "cells.md").write_text("# Cells\n\nPlants have chloroplasts, animals have none.\n")
    (folder / "rome.md").write_text("# Rome\n\nCaesar crossed the Rubicon with one legion.\n")
    return folder


async def test_a_folder_is_read_into_a_space_and_answers(here: Beside, notes: Path) -> None:
    read = await here.rag("ingest", str(notes), "--space", "school")
    assert "school: made; its vectors come from toy" in read.stderr and "school: 2 files are read" in read.stderr

    # The engine's vectors are drawn from a hash: what is found is all there is, and nothing of it is relevant.
    found = await here.rag("query", "who crossed the Rubicon", "--space", "school", expect=3)
    assert found.stdout.startswith("1. ") and "rome.md, line 1, version 1  (not relevant: cosine" in found.stdout
    assert "Caesar crossed the Rubicon" in found.stdout and "nothing relevant was found" in found.stderr
    hits = json.loads((await here.rag("query", "who crossed the Rubicon", "--json", expect=3)).stdout)["hits"]
    assert {hit["filename"] for hit in hits} == {"rome.md", "biology/cells.md"}

    assert [line.split()[:2] for line in (await here.rag("ls")).stdout.splitlines()[1:]] == [
        ["biology/cells.md", "completed"],
        ["rome.md", "completed"],
    ]
    assert "Plants have chloroplasts" in (await here.rag("show", "biology/cells.md")).stdout
    assert "did you mean rome.md?" in (await here.rag("show", "rom.md", expect=4)).stderr
    assert (
        "no space is called scool; did you mean school?" in (await here.rag("ls", "--space", "scool", expect=4)).stderr
    )


async def test_a_single_file_is_uploaded_and_one_that_cannot_be_read_is_told(here: Beside, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.pdf"
    good.write_text("The library opens at nine.\n")
    bad.write_bytes(b"%PDF-1.7 this is none")
    assert "1 files are read" in (await here.rag("ingest", str(good))).stderr
    failed = await here.rag("ingest", str(bad), expect=1)

    assert "bad.pdf" in failed.stdout and "failed" in failed.stdout
    assert "1 of 1 files could not be read" in failed.stderr
    document = json.loads((await here.rag("ls", "--json")).stdout)
    assert {file["potluck"]["filename"]: file["status"] for file in document["files"]} == {
        "good.md": "completed",
        "bad.pdf": "failed",
    }


async def test_what_could_not_be_read_is_tried_again_and_a_file_by_its_name(here: Beside, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.pdf"
    good.write_text("The library opens at nine.\n")
    bad.write_bytes(b"%PDF-1.7 this is none")
    await here.rag("ingest", str(good))
    assert (await here.rag("retry")).stderr == "documents: every file could be read\n"
    await here.rag("ingest", str(bad), expect=1)

    again = await here.rag("retry", expect=1)
    assert "bad.pdf" in again.stdout and "good.md" not in again.stdout
    assert "1 of 1 files could not be read" in again.stderr
    assert "1 files are read" in (await here.rag("retry", "good.md")).stderr
    assert "did you mean good.md?" in (await here.rag("retry", "god.md", expect=4)).stderr


async def test_spaces_are_made_listed_used_and_dropped(here: Beside) -> None:
    store_id = (await here.rag("spaces", "make", "school", "--description", "of class 7")).stdout.strip()
    await here.rag("spaces", "make", "clinic")

    listed = await here.rag("spaces", "-o", "name")
    assert listed.stdout.split() == ["clinic", "school"]
    document = json.loads((await here.rag("spaces", "--json")).stdout)
    assert [space["description"] for space in document["spaces"]] == ["", "of class 7"]
    assert "say which, by its id" in (await here.rag("query", "anything", expect=2)).stderr
    assert f"every question to {MODEL}" in (await here.rag("use", "school", "--model", MODEL)).stderr
    assert "asked only where" in (await here.rag("use", "school")).stderr
    assert (await here.rag("query", "anything", "--space", "school", expect=3)).stderr == "nothing was found\n"

    await here.rag("spaces", "drop", store_id, "--yes")
    assert (await here.rag("spaces", "-o", "name")).stdout.split() == ["clinic"]


async def test_questions_from_a_file_are_measured(here: Beside, notes: Path, tmp_path: Path) -> None:
    await here.rag("ingest", str(notes))
    asked = tmp_path / "questions.csv"
    asked.write_text(
        "question,file,language,locator\n"
        "Which have chloroplasts?,biology/cells.md,en,\n"
        "Who crossed the Rubicon?,notes/rome.md,en,\n"
        "Who was Napoleon?,france.md,fr,page 3\n"
    )
    rows = [line.split() for line in (await here.rag("eval", str(asked))).stdout.splitlines()]

    assert rows[0] == ["LANGUAGE", "QUESTIONS", "HIT@1", "HIT@10", "NDCG@10", "IN", "PLACE"]
    assert [row[:2] for row in rows[1:]] == [["en", "2"], ["fr", "1"], ["all", "3"]]
    assert [row[3] for row in rows[1:]] == ["1.000", "0.000", "0.667"]
    asked.write_text("question,document\nWho?,a.md\n")
    assert "entry 1 lacks its `question` or its `file`" in (await here.rag("eval", str(asked), expect=2)).stderr


def test_without_a_gateway_that_is_told(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "state").ensure()
    for words in (["spaces"], ["query", "x"], ["ls"], ["ingest", str(tmp_path)]):
        assert "start it with `potluck up`" in potluck("rag", paths, *words, expect=6).stderr
    (tmp_path / "a.md").write_text("text")
    assert (
        "a folder can be watched" in potluck("rag", paths, "ingest", str(tmp_path / "a.md"), "--watch", expect=2).stderr
    )


async def test_all_spaces_move_to_a_weaviate_and_back(tmp_path: Path, notes: Path) -> None:
    async with beside(tmp_path) as here:
        await here.rag("ingest", str(notes), "--space", "school")
        busy = await here.rag("migrate", "--to", "weaviate", expect=1)
        (space,) = json.loads((await here.rag("spaces", "--json")).stdout)["spaces"]
    assert "a gateway runs in" in busy.stderr
    paths, space_id = here.paths, SpaceId("home", space["id"])
    assert "names no Weaviate" in potluck("rag", paths, "migrate", "--to", "weaviate", expect=2).stderr
    async with weaviate_wire() as wire:
        key = tmp_path / "weaviate-key"
        write_secret(key, WEAVIATE_KEY)
        place = {"url": f"http://127.0.0.1:{wire.http_port}", "grpc": f"127.0.0.1:{wire.grpc_port}"}
        config = tmp_path / "copy.yaml"
        told = {"version": 1, "rag": {"store": {"weaviate": {**place, "api_key_file": str(key)}}}}
        config.write_text(json.dumps(told))

        bound = {**told, "privacy": {"classes": {"private": {"zones": ["default"]}}}}
        config.write_text(json.dumps(bound))
        with pytest.raises(OutsideZonesError, match="the Weaviate that keeps documents has no `zone:`"):
            await asyncio.to_thread(moved_spaces, paths, [], "weaviate", config, True)
        bound["rag"]["store"]["weaviate"]["zone"] = "default"  # type: ignore[index]  # as it was written above
        config.write_text(json.dumps(bound))

        ((name, moved),) = await asyncio.to_thread(moved_spaces, paths, ["school"], "weaviate", config, True)
        assert (name, moved.documents, moved.written, moved.dropped) == ("school", 2, 2, True)
        embedded = embedded_store(paths, SystemClock())
        assert await embedded.spaces("home") == ()
        weaviate = weaviate_store(WeaviateSection.model_validate(told["rag"]["store"]["weaviate"]), SystemClock())  # type: ignore[index]  # as it was written above
        assert {one.document.name for one in await weaviate.documents(space_id)} == {"biology/cells.md", "rome.md"}
        ((_, back),) = await asyncio.to_thread(moved_spaces, paths, [], "embedded", config, False)
        assert (back.written, back.dropped) == (2, False)
        assert await embedded.documents(space_id) == await weaviate.documents(space_id)
        await weaviate.close()
        await embedded.close()


def test_a_hit_says_where_it_stands_and_why_it_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    more = HitMore(2, Place("page", "3"), True, "cosine 0.71, 80% of the words")
    text = "\x1b[31mred " + "word " * 200
    hit = SearchHit(
        file_id="file-1", filename="a.pdf", score=0.934, attributes={}, content=[TextPart(text)], potluck=more
    )  # fmt: skip
    print_hits(SearchPage(search_query=["q"], data=[hit]), as_json=False)
    first, second = capsys.readouterr().out.splitlines()

    assert first == "1. 0.93  a.pdf, page 3, version 2  (cosine 0.71, 80% of the words)"
    assert "\x1b" not in second and second.startswith("   \\x1b[31mred word") and second.endswith("characters]")


def test_a_question_is_judged_by_the_first_hit_in_the_right_file() -> None:
    page = Locator("page", "3")
    expected = Expected("q", "school/a.pdf", "es", page)
    hits = [("b.pdf", page), ("a.pdf", Locator("page", "1")), ("a.pdf", page)]

    assert judged(expected, hits) == Asked(expected, 2, True)
    assert judged(expected, hits[:2]) == Asked(expected, 2, False)
    assert judged(expected, [("b.pdf", page)] * 10 + hits) == Asked(expected, None, False)
    (all_of,) = qualities([Asked(Expected("q", "a"), rank, None) for rank in (1, 3, None)])
    assert all_of == Quality("", 3, 1 / 3, 2 / 3, 0.5, None)
