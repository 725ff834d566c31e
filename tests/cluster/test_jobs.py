from pathlib import Path

import msgspec
import pytest

from cluster.jobs import InProcessJobs, JobPart, UnknownJobError, decode_checks, is_job_kind, perform
from inventory.clock import SystemClock
from inventory.store import ModelStore
from nodes.snapshot import NodeId
from support.gguf_files import write_gguf

HERE, ELSEWHERE = NodeId("here"), NodeId("elsewhere")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv("POTLUCK_STATE_DIR", str(tmp_path / "state"))
    store = ModelStore(tmp_path / "state" / "models", SystemClock())
    store.import_path(write_gguf(tmp_path / "tiny.gguf"), "tiny")
    return store


async def test_every_model_of_this_machine_is_hashed(store: ModelStore) -> None:
    (outcome,) = await InProcessJobs(HERE).run("verify_models", [JobPart(HERE)])

    (check,) = decode_checks(outcome.answer or b"")
    assert (check.model, check.problem) == ("tiny", None)
    assert check.size_bytes == store.get("tiny").artifact.size_bytes


async def test_a_changed_byte_is_found_and_its_file_named(store: ModelStore) -> None:
    (blob,) = (path for path in (store.root / "blobs").iterdir())
    blob.chmod(0o600)
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)

    (outcome,) = await InProcessJobs(HERE).run("verify_models", [JobPart(HERE)])

    (check,) = decode_checks(outcome.answer or b"")
    assert check.problem is not None
    assert "tiny.gguf is damaged" in check.problem


async def test_without_ray_other_machines_are_named_as_not_asked(store: ModelStore) -> None:
    here, elsewhere = await InProcessJobs(HERE).run("verify_models", [JobPart(HERE), JobPart(ELSEWHERE)])

    assert here.error is None
    assert (elsewhere.answer, elsewhere.error) == (None, "jobs run on here only: Ray is not running")


def test_a_node_of_an_older_version_says_that_it_does_not_know_the_job() -> None:
    with pytest.raises(UnknownJobError, match="no job 'bake_bread'"):
        perform("bake_bread", msgspec.json.encode(None))


async def test_an_unknown_job_is_the_outcome_of_the_node_that_was_asked() -> None:
    (outcome,) = await InProcessJobs(HERE).run("answer_line", [JobPart(HERE)])

    assert outcome.answer is None
    assert outcome.error == "this node has no job 'answer_line'; is it of an older version?"


def test_a_room_above_brings_a_job_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "bakery-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bakery\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[potluck.jobs]\nturn_dough = bakery:turned\n")
    (tmp_path / "bakery.py").write_text("def turned(argument):\n    return argument[::-1]\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert is_job_kind("turn_dough")
    assert not is_job_kind("turn_butter")
    assert perform("turn_dough", b"dough") == b"hguod"
