"""The house itself: walls between rooms, file budget, wheel content, and what no committed file may say."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("inventory", "nodes", "cluster", "router", "rag", "cli")
LINE_LIMIT = 400


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.split() if (ROOT / name).is_file()]


def test_walls_between_rooms_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


def test_no_source_file_outgrows_one_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("*.py", "*.ts", "*.tsx", "*.cpp", "*.c")
        if (lines := len(path.read_text().splitlines())) > LINE_LIMIT
    }

    assert long == {}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_and_what_it_is_not(room: str) -> None:
    import ast

    docstring = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text()))

    assert docstring is not None
    assert any(word in docstring for word in ("Not here", "never")), docstring
    assert (ROOT / room / "py.typed").exists()


def test_every_module_says_its_subject() -> None:
    import ast

    silent = [
        str(path.relative_to(ROOT))
        for path in tracked(*(f"{room}/*.py" for room in ROOMS))
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_the_wheel_holds_the_six_rooms_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("potluck-*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(ROOMS)
    scripts = ("engines/llamacpp_server.py", "engines/mlx_start.py", "engines/vllm_start.py", "convert_gguf.py")
    assert {f"nodes/{script}" for script in scripts} <= set(names)
    assert {"nodes/engines/locks/llamacpp.txt", "nodes/engines/locks/vllm-cuda.txt"} <= set(names)


def test_no_dependency_ships_a_package_with_the_name_of_a_room() -> None:
    owners = {room: set(packages_distributions().get(room, [])) - {"potluck"} for room in ROOMS}

    assert owners == {room: set() for room in ROOMS}


def test_locks_carry_hashes_and_name_no_host() -> None:
    for lock in tracked("requirements/*.txt", "nodes/engines/locks/*.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text, lock
        assert "://" not in text, lock
        assert "--index-url" not in text and "--find-links" not in text, lock


def test_every_direct_dependency_has_a_lower_bound_and_a_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    loose = [
        need for needs in groups.values() for need in needs if ">=" not in need and not need.startswith("potluck[")
    ]

    assert loose == []


def test_no_forbidden_library_is_imported() -> None:
    forbidden = ("litellm", "diskcache", "pickle", "cloudpickle")
    guilty = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith(tuple(f"{word} {name}" for name in forbidden for word in ("import", "from")))
    ]

    assert guilty == []
