"""Checkpoints of the head's audit on a member: kept as they came, and never pushed out by newer ones."""

import json
from pathlib import Path

import pytest

from nodes.audit_shelf import MONTH_MS, MOST_RECENT, BadCheckpointError, CheckpointShelf


def checkpoint(sequence: int, digest: str = "aa", at_ms: int = 0, log: str = "0123abcd") -> str:
    text = json.dumps({"log": log, "sequence": sequence, "at_ms": at_ms, "digest": digest, "root": "bb"})
    return json.dumps({"text": text, "signature": "cc"})


def test_what_was_put_there_is_there_after_a_restart_once(tmp_path: Path) -> None:
    CheckpointShelf(tmp_path / "shelf").keep(checkpoint(5))
    again = CheckpointShelf(tmp_path / "shelf")
    again.keep(checkpoint(5, at_ms=99))
    again.keep(checkpoint(7))
    again.keep(checkpoint(3, log="ffff"))

    assert again.documents() == (checkpoint(5), checkpoint(7), checkpoint(3, log="ffff"))
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "shelf").iterdir()} == {0o600}


def test_a_second_truth_about_a_record_is_refused(tmp_path: Path) -> None:
    shelf = CheckpointShelf(tmp_path)
    shelf.keep(checkpoint(5))

    with pytest.raises(BadCheckpointError, match="another checkpoint of record 5"):
        shelf.keep(checkpoint(5, digest="dd"))
    assert shelf.documents() == (checkpoint(5),)


def test_many_newer_ones_leave_one_of_each_month(tmp_path: Path) -> None:
    shelf = CheckpointShelf(tmp_path)
    sent = [checkpoint(number, at_ms=number * MONTH_MS // 10) for number in range(1, MOST_RECENT + 21)]
    for document in sent:
        shelf.keep(document)

    kept = shelf.documents()
    assert kept[-MOST_RECENT:] == tuple(sent[-MOST_RECENT:])
    assert kept[:-MOST_RECENT] == tuple(sent[number - 1] for number in (1, 10, 20))


@pytest.mark.parametrize(
    "document", ["", "[]", "{}", '{"text": "{}", "signature": ""}', checkpoint(1, log="../etc"), "x" * 9999]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, document: str) -> None:
    with pytest.raises(BadCheckpointError):
        CheckpointShelf(tmp_path / "shelf").keep(document)
    assert not (tmp_path / "shelf").exists()
