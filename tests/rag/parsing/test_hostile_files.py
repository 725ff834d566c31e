"""Two hundred hostile files: each is parsed or refused with a reason, within its bounds, and nothing is touched."""

from pathlib import Path
from time import monotonic

import msgspec
import psutil
import pytest

from inventory.clock import SystemClock
from rag.parsing.bounded import BoundedChildren
from rag.parsing.job import ParseAnswer, ParseJob, parsed_by
from rag.parsing.wire import Bounds
from support.hostile_files import hostile_files

FILES, SEED = 200, 20_250_304
SOAK_FILES = 1_500


@pytest.mark.parametrize(
    ("seed", "files"),
    [(SEED, FILES), *(pytest.param(seed, SOAK_FILES, marks=pytest.mark.soak) for seed in (1, 2, 3))],
)
def test_every_hostile_file_is_parsed_or_refused_within_its_bounds(
    seed: int, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bounds = Bounds()
    before = {child.pid for child in psutil.Process().children()}
    answers: dict[str, ParseAnswer] = {}
    worst_s = worst_mb = 0.0
    with BoundedChildren(bounds, SystemClock()) as children:
        for number, (name, content) in enumerate(hostile_files(seed, files)):
            begun = monotonic()
            answer = parsed_by(children, msgspec.msgpack.encode(ParseJob(name, content)))
            worst_s = max(worst_s, monotonic() - begun)
            worst_mb = max([worst_mb, *(_peak_mb(pid) for pid in _children() - before)])
            answers[f"{number} {name}"] = msgspec.msgpack.decode(answer, type=ParseAnswer)

    refused = {name: answer for name, answer in answers.items() if answer.problem_code is not None}
    print(
        f"RESULT hostile_files files={len(answers)} refused={len(refused)} parsed={len(answers) - len(refused)}"
        f" worst_s={worst_s:.1f} worst_mb={worst_mb:.0f}"
    )
    assert len(answers) == files
    assert {answer.problem_code for answer in refused.values()} == {"unsupported_file", "invalid_file"}
    assert [name for name, answer in refused.items() if name.split(" ", 1)[1] not in (answer.problem or "")] == []
    assert [name for name, answer in answers.items() if answer.problem_code is None and not answer.chunks] == []
    assert worst_mb * 1e6 < bounds.memory_bytes
    assert list(tmp_path.iterdir()) == [] and not Path("/tmp/evil").exists()
    assert _children() == before


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def _peak_mb(pid: int) -> float:
    """What it ever held; 0 where the system does not tell, or it is gone: then its bound has held it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:")), 0.0)
