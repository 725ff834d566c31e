from pathlib import Path

from cli.endpoint import HeadAwayError, NotRunningError, away, refusal_of
from cli.errors import exit_code_of
from inventory.paths import StatePaths
from nodes.role_lock import RoleLock


def test_a_head_that_is_away_while_the_rest_runs_is_not_called_down(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path).ensure()
    assert isinstance(away(paths, "refused"), NotRunningError)

    lock = RoleLock(paths.run, "up")
    lock.acquire()
    try:
        error = away(paths, "refused")
    finally:
        lock.release()

    assert isinstance(error, HeadAwayError)
    assert "what ran goes on" in str(error) and "head.log" in str(error)
    assert exit_code_of(error) == exit_code_of(NotRunningError(paths)) == 6


def test_a_refusal_is_told_in_its_own_words_as_far_as_they_can_be_found() -> None:
    assert str(refusal_of(404, b'{"error": {"message": "no model `nix`"}}')) == "no model `nix`"
    assert str(refusal_of(502, b"<html>Bad Gateway</html>")) == "<html>Bad Gateway</html>"
    assert str(refusal_of(502, b'"no object"')) == '"no object"'
