"""What `--help` says, and that it says all of it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

runner = CliRunner()


@pytest.mark.parametrize("columns", ["80", "120"])
def test_no_explanation_is_cut_and_none_passes_through_markup(columns: str) -> None:
    listed = " ".join(runner.invoke(app, ["--help"], env={"COLUMNS": columns}).stdout.split())
    pull = runner.invoke(app, ["models", "pull", "--help"], env={"COLUMNS": columns}).stdout

    assert "and a set of them that fits together." in listed
    assert "..." not in listed.partition("COMMAND [ARGS]...")[2]
    assert "hf:ORG/REPO[@REV]/FILE.gguf" in pull


def test_commands_stand_by_subject() -> None:
    lines = runner.invoke(app, ["--help"]).stdout.splitlines()
    subjects = [line for line in lines if line.endswith(":") and not line.startswith(" ")]

    assert subjects[1:3] == ["This machine:", "Machines:"]
    assert subjects[-1] == "Services, as `up` runs them:"


def test_options_of_the_whole_command_count_before_any_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTLUCK_STATE_DIR", "elsewhere")  # the command sets it; leaving this test takes it back
    (tmp_path / "cluster.yaml").write_text("version: 1  # mine\n")

    shown = runner.invoke(app, ["--state-dir", str(tmp_path), "config", "show"])

    assert shown.stdout == "version: 1  # mine\n"
