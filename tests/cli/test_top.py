"""`potluck top` in a real terminal, before a gateway that answers, and where none does."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.render_top import bar
from inventory.paths import StatePaths
from router.dashboard.memory import Parts, Pool
from support.command_here import potluck
from support.golden_fleet import CLUSTER, NOW_S
from support.golden_place import GoldenPlace, golden_place
from support.real_terminal import COLOUR, ENTERED, INTERRUPT, LEFT, SHOWN_CURSOR, in_a_terminal
from support.scripted import answering
from support.terminal import shown


@pytest.fixture(scope="module")
def place() -> Iterator[GoldenPlace]:
    with golden_place() as made:
        yield made


def test_q_leaves_and_the_terminal_is_as_it_was(place: GoldenPlace) -> None:
    with in_a_terminal("top", state_dir=place.paths.root) as terminal:
        terminal.until("mac-studio-in-the-attic")
        terminal.until("[now]")
        terminal.press("x")  # does nothing
        terminal.press("q")

        assert terminal.ended() == 0
        assert terminal.settings() == terminal.before
    assert ENTERED in terminal.written
    assert terminal.written.rindex(LEFT) > terminal.written.rindex("[now]")
    assert SHOWN_CURSOR in terminal.written
    assert COLOUR.search(terminal.written)


def test_an_interrupt_leaves_in_the_same_way_and_says_so_by_its_exit_code(place: GoldenPlace) -> None:
    with in_a_terminal("top", state_dir=place.paths.root, NO_COLOR="1") as terminal:
        terminal.until("[now]")
        terminal.press(INTERRUPT)

        assert terminal.ended() == 130
        assert terminal.settings() == terminal.before
    assert LEFT in terminal.written
    assert "Traceback" not in terminal.written
    assert not COLOUR.search(terminal.written)


def test_without_a_gateway_the_head_is_asked_and_what_only_a_gateway_counts_is_not_made_up(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "s").ensure()
    with answering(paths.head_socket, {"GET /api/v1/snapshot": CLUSTER}):
        told = shown(("top",), paths, None, NOW_S).out

    assert "requests are counted by a gateway, and none answers here" in told
    (busy,) = [line.split() for line in told.splitlines() if line.startswith("rtx4090")]
    assert busy[-4:] == ["7", "2", "-", "-"]  # as its engine says, and no speed


def test_a_head_that_goes_away_meanwhile_is_told_above_what_was_seen_last(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "s").ensure()
    with ExitStack() as head:
        head.enter_context(answering(paths.head_socket, {"GET /api/v1/snapshot": CLUSTER}))
        with in_a_terminal("top", "--every", "0.2", state_dir=paths.root) as terminal:
            terminal.until("mac-studio-in-the-attic")
            head.close()
            terminal.until("potluck does not run in")
            terminal.press("q")

            assert terminal.ended() == 0


def test_where_nothing_runs_that_is_said_with_what_to_do(tmp_path: Path) -> None:
    assert "potluck up" in potluck("top", StatePaths.at(tmp_path / "s").ensure(), expect=6).stderr


def pool(**parts: int) -> Pool:
    return Pool("ram", 100, 0, Parts(**parts), 100)


def test_a_bar_is_as_long_as_asked_and_shows_small_parts() -> None:
    assert bar(pool(weights=50, kv=25, runtime=0, engines=0), 12) == "██████▓▓▓···"
    assert bar(pool(weights=1, kv=0, runtime=1, engines=0), 10) == "█▒········"
    assert bar(pool(weights=90, kv=40, runtime=9, engines=0), 10) == "█████████▓"
    assert bar(Pool("ram", 100, 0, Parts(other=3), 100), 10) == "?"
