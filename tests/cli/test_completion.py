"""What bash offers after a tab, in a real bash with the script that `potluck` prints."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.golden_place import GoldenPlace, golden_place

POTLUCK = Path(sys.executable).parent / "potluck"
# As bash itself does it: the function that `complete` names gets the words, and leaves its answers in COMPREPLY.
OFFER = """
eval "$(_POTLUCK_COMPLETE=source_bash "$1")"
complete -p potluck >/dev/null || exit 9
shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_potluck_completion potluck
printf '%s\\n' "${COMPREPLY[@]}"
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture(scope="module")
def place() -> Iterator[GoldenPlace]:
    with golden_place() as made:
        yield made


def offered(*words: str, state_dir: Path) -> list[str]:
    path = f"{POTLUCK.parent}{os.pathsep}{os.environ['PATH']}"
    world = {**os.environ, "PATH": path, "POTLUCK_STATE_DIR": str(state_dir)}
    done = subprocess.run(
        ["bash", "-c", OFFER, "bash", POTLUCK, "potluck", *words],
        capture_output=True, text=True, check=True, env=world,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_commands_are_offered_and_those_of_a_group(tmp_path: Path) -> None:
    assert {"status", "top", "logs", "nodes"} <= {*offered("", state_dir=tmp_path)}
    assert offered("no", state_dir=tmp_path) == ["node", "nodes"]
    assert {"ls", "inspect", "drain"} <= {*offered("nodes", "", state_dir=tmp_path)}
    assert "--watch" in offered("status", "--w", state_dir=tmp_path)
    assert "supervise" not in offered("", state_dir=tmp_path)


def test_names_are_offered_as_head_and_store_have_them(place: GoldenPlace) -> None:
    root = place.paths.root

    assert offered("nodes", "inspect", "p", state_dir=root) == ["pi", "poweredge"]
    assert offered("models", "inspect", "", state_dir=root) == ["small"]
    assert offered("keys", "inspect", "a", state_dir=root) == ["anna"]
    assert offered("rag", "use", "s", state_dir=root) == ["school"]
    assert {"qwen3-14b", "qwen3-32b"} <= {*offered("fit", "qwen3-", state_dir=root)}


def test_without_a_head_no_name_is_offered_and_nothing_is_said(tmp_path: Path) -> None:
    assert offered("nodes", "inspect", "", state_dir=tmp_path) == [""]
    assert offered("models", "inspect", "", state_dir=tmp_path) == [""]
    assert offered("rag", "use", "", state_dir=tmp_path) == [""]
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_too(tmp_path: Path, shell: str) -> None:
    done = subprocess.run(
        [POTLUCK], capture_output=True, text=True, check=False,
        env={**os.environ, "_POTLUCK_COMPLETE": f"source_{shell}", "POTLUCK_STATE_DIR": str(tmp_path)},
    )  # fmt: skip

    assert "_POTLUCK_COMPLETE=complete_" in done.stdout
