"""Two hundred hostile files: each is parsed or refused with a reason, within its bounds, and nothing is touched."""

import asyncio
import shutil
from pathlib import Path
from time import monotonic

import msgspec
import psutil
import pytest

from cluster.jobs import InProcessJobs
from cluster.knowledge import NewStore, StoreFile
from inventory.clock import SystemClock
from rag.library.machines import Machines
from rag.library.opened import OpenLibrary
from rag.library.reading import Loaded, Parsed, Parsing, Problem
from rag.parsing.bounded import BoundedChildren
from rag.parsing.job import ParseAnswer, ParseJob, parsed_by
from rag.parsing.wire import Bounds
from support.hostile_files import hostile_files
from support.libraries import ANA, ANYWHERE, NODE, WordEncoders, opened, reading

FILES, SEED = 200, 20_250_304
SOAK_FILES = 1_500
CORPUS = Path(__file__).parents[2] / "data" / "corpus"
SLOWEST_S = 240.0


class Watched:
    """A Parsing, how long a file took it at most, and the most that any child of this process ever held."""

    def __init__(self, parsing: Parsing) -> None:
        self._parsing = parsing
        self.worst_s = self.worst_mb = 0.0

    async def parse(self, loaded: Loaded) -> Parsed | Problem:
        begun = monotonic()
        parsed = await self._parsing.parse(loaded)
        self.worst_s = max(self.worst_s, monotonic() - begun)
        self.worst_mb = max(self.worst_mb, _worst_mb(_children()))
        return parsed


async def test_a_folder_is_read_around_every_hostile_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, state, aside = tmp_path / "folder", tmp_path / "state", tmp_path / "aside"
    for made in (state, aside):
        made.mkdir(mode=0o700)
    monkeypatch.chdir(aside)
    shutil.copytree(CORPUS, folder / "good")
    for number, (name, content) in enumerate(hostile_files(SEED, FILES)):
        (folder / "bad" / f"{number:03}").mkdir(parents=True)
        (folder / "bad" / f"{number:03}" / name).write_bytes(content)
    clock = SystemClock()
    watched = Watched(Machines(InProcessJobs(NODE), lambda: (NODE,), clock, ANYWHERE))
    async with opened(state, WordEncoders(), clock, watched) as library, reading(library):
        store_id = (await library.knowledge.create_store(ANA, NewStore("all"))).store_id
        await library.knowledge.add_folder(ANA, store_id, str(folder), watched=False)
        files = await _read(library, store_id)

    good = [one for one in files if one.name.startswith("good/")]
    bad = [one for one in files if one.name.startswith("bad/")]
    refused = [one for one in bad if one.status == "failed"]
    print(
        f"RESULT hostile_files files={len(bad)} refused={len(refused)} parsed={len(bad) - len(refused)}"
        f" beside={len(good)} worst_s={watched.worst_s:.1f} worst_mb={watched.worst_mb:.0f}"
    )
    assert {one.name.removeprefix("good/") for one in good if one.status == "completed" and one.chunks} == _corpus()
    assert len(bad) == FILES
    assert {one.problem_code for one in refused} == {"unsupported_file", "invalid_file"}
    assert [one.name for one in refused if one.name not in (one.problem or "")] == []
    assert [one.name for one in bad if one.status == "completed" and not one.chunks] == []
    assert watched.worst_mb * 1e6 < Bounds().memory_bytes
    assert list(aside.iterdir()) == [] and not Path("/tmp/evil").exists()


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_hostile_file_is_parsed_or_refused_within_its_bounds(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bounds = Bounds()
    before = _children()
    answers: dict[str, ParseAnswer] = {}
    worst_mb = 0.0
    with BoundedChildren(bounds, SystemClock()) as children:
        for number, (name, content) in enumerate(hostile_files(seed, SOAK_FILES)):
            answer = parsed_by(children, msgspec.msgpack.encode(ParseJob(name, content)))
            worst_mb = max(worst_mb, _worst_mb(_children() - before))
            answers[f"{number} {name}"] = msgspec.msgpack.decode(answer, type=ParseAnswer)

    refused = {name: answer for name, answer in answers.items() if answer.problem_code is not None}
    assert len(answers) == SOAK_FILES
    assert {answer.problem_code for answer in refused.values()} == {"unsupported_file", "invalid_file"}
    assert [name for name, answer in refused.items() if name.split(" ", 1)[1] not in (answer.problem or "")] == []
    assert [name for name, answer in answers.items() if answer.problem_code is None and not answer.chunks] == []
    assert worst_mb * 1e6 < bounds.memory_bytes
    assert list(tmp_path.iterdir()) == [] and not Path("/tmp/evil").exists()
    assert _children() == before


async def _read(library: OpenLibrary, store_id: str) -> tuple[StoreFile, ...]:
    """Files of its one folder, once all were seen and read."""
    async with asyncio.timeout(SLOWEST_S):
        while True:
            (folder,) = await library.knowledge.folders(ANA)
            if folder.settled and not folder.counts.in_progress:
                return await library.knowledge.files(ANA, store_id)
            await asyncio.sleep(0.1)


def _corpus() -> set[str]:
    """Without files that say something of those beside them."""
    return {
        str(path.relative_to(CORPUS)) for path in CORPUS.rglob("*") if path.is_file() and "metadata" not in path.name
    }


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def _worst_mb(pids: set[int]) -> float:
    return max(map(_peak_mb, pids), default=0.0)


def _peak_mb(pid: int) -> float:
    """What it ever held; 0 where the system does not tell, or it is gone: then its bound has held it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:")), 0.0)
