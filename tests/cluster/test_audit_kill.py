"""kill -9 of the audit's writer under load, again and again: no acknowledged record is lost, and the chain is whole."""

import os
import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cluster.audit_reading import AuditReader
from cluster.audit_records import decode
from cluster.audit_verify import verify
from support import audit_load

ROOT = Path(__file__).parents[2]


def acknowledged_until_killed(root: Path, lines: int) -> list[str]:
    """What a writer acknowledged until it was killed, somewhere after so many lines."""
    program = [sys.executable, "-m", "support.audit_load", str(root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        heard = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        heard += process.stdout.readlines()
    return [line.strip() for line in heard if line.endswith("\n")]


def lives(root: Path, count: int, seed: int) -> int:
    """How many records were acknowledged over all of them. Raises AssertionError at the first that is lost."""
    chance, total = random.Random(seed), 0
    for life in range(count):
        acknowledged = acknowledged_until_killed(root, chance.randrange(1, 120))
        total += len(acknowledged)
        with closing(AuditReader.open(root / "audit.db")) as reader:
            found = {f"{record.sequence} {record.target}" for record in map(decode, (x.body for x in reader.links()))}
            verdict = verify(reader.evidence(), reader.links(), audit_load.place(root).key.public_key())
        assert set(acknowledged) <= found, f"life {life} of seed {seed} lost {set(acknowledged) - found}"
        assert verdict.finding is None, f"life {life} of seed {seed}: {verdict.finding}"
    return total


@pytest.mark.parametrize(
    "kills", [3, pytest.param(20, marks=pytest.mark.e2e), pytest.param(200, marks=pytest.mark.soak)]
)
def test_no_acknowledged_record_is_lost_and_no_chain_breaks(tmp_path: Path, kills: int) -> None:
    seed = random.SystemRandom().randrange(2**32)

    acknowledged = lives(tmp_path, kills, seed)

    assert acknowledged >= kills
    print(f"RESULT audit_kills kills={kills} acknowledged={acknowledged} lost=0 breaks=0 seed={seed}")
