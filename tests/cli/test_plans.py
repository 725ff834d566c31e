"""`config plan`, as a user types it where no head runs, and its text."""

import json
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from cli.config import app as config_app
from cli.render_plan import plan_text
from cluster.plan_values import Arrival, ConfigPlan, EngineChange, PoolChange, Shortage, Sleep

ROOT = Path(__file__).parents[2]
GIB = 2**30


def run(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    found = CliRunner().invoke(config_app, [*arguments, "--state-dir", str(state)])
    return subprocess.CompletedProcess(arguments, found.exit_code, found.stdout, found.stderr)


def test_a_described_fleet_is_planned_and_nothing_is_written(tmp_path: Path) -> None:
    done = run("plan", str(ROOT / "cluster.yaml"), state=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("for machines as they are described\n")
    assert "start   qwen3-14b.rtx4090.1" in done.stdout
    assert "run `potluck models pull hf:Qwen/Qwen3-14B-AWQ --name qwen3-14b` on rtx4090" in done.stdout
    assert not (tmp_path / "cluster.yaml").exists()


def test_the_document_has_the_same_and_the_exit_code_tells_programs_that_something_changes(tmp_path: Path) -> None:
    done = run("plan", str(ROOT / "cluster.yaml"), "--json", "--detailed-exitcode", state=tmp_path)
    document = json.loads(done.stdout)

    assert done.returncode == 3
    assert (document["kind"], document["revision"]) == ("ConfigPlan", None)
    assert {one["change"] for one in document["engines"]} == {"start"}


def test_each_section_of_a_plan_is_a_few_words() -> None:
    plan = ConfigPlan(
        revision=7,
        pools=(PoolChange("box", "ram", 64 * GIB, 0, 4 * GIB), PoolChange("mac", "unified", None, GIB, 0)),
        engines=(
            EngineChange("m.box.1", "box", "m", "llamacpp", "stay", "", 4 * GIB),
            EngineChange("n.box.1", "box", "n", "llamacpp", "restart", "context 2048 -> 4096", 4 * GIB, 12.5),
        ),
        left_out=(Shortage("o", 0, 1, 1, "needs more"), Shortage("p", 1, 2, 2, "needs [more]")),
        could_grow=(Shortage("m", 1, 1, 3, "no room"),),
        arrivals=(Arrival("n", "box", 2 * GIB, "mac", ""), Arrival("o", "", None, None, "file:/data/o")),
        asleep=(Sleep("s", "nobody asks for it"),),
    )

    assert (
        plan_text(plan)
        == """\
against revision 7

NODE  POOL     BEFORE   AFTER    BUDGET
box   ram      -        4.0 GiB  64.0 GiB
mac   unified  1.0 GiB  -        cannot be read

CHANGE   ENGINE   NEEDS    LOADS IN  WHY
restart  n.box.1  4.0 GiB  12 s      context 2048 -> 4096
stay     m.box.1  4.0 GiB  -

left out:
  o: needs more
  p (1 of 2): needs [more]

would have more replicas with more room:
  m (1 of 3): no room

to come:
  n, 2.0 GiB: copied by itself from mac to box
  o, size not known yet: run `potluck models import /data/o --name o`

asleep:
  s: nobody asks for it"""
    )
