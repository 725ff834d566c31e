from contextlib import redirect_stderr
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import byte_progress, waiting
from cli.render import status_text
from cli.render_nodes import node_sheet
from cli.table import duration, printable, table
from cluster.snapshot import ClusterSnapshot, NodeView
from nodes.snapshot import NodeId, PressureLevel, PressureSnapshot
from support.cluster_facts import node
from support.terminal import Screen


def test_a_long_name_is_never_cut_and_markup_is_text() -> None:
    name = "x" * 300

    shown = table(("NAME", "STATE"), [(name, "[ok]")])

    assert name in shown
    assert "[ok]" in shown


@given(st.text())
def test_control_characters_never_reach_the_terminal(text: str) -> None:
    assert all(char.isprintable() or char == " " for char in printable(text))


def test_a_duration_has_one_unit() -> None:
    assert [duration(value) for value in (1.4, 600, 7200, 200000)] == ["1 s", "10 min", "2 h", "2 d"]


def pressed(level: PressureLevel, reason: str) -> NodeView:
    snapshot = replace(node("box"), pressure=PressureSnapshot(level, reason, since_s=900.0))
    return NodeView(NodeId("box"), "ready", "", 0.0, "local", snapshot)


def test_a_machine_short_of_memory_is_shown_with_its_reason() -> None:
    told = "310.0 MiB available of 23.0 GiB"
    short, calm = pressed("short", told), pressed("calm", "")
    cluster = ClusterSnapshot(1, "home", 1, 1, 1, 1000.0, (short,), ())

    assert f"! box: memory is short: {told}" in status_text(cluster, None, 1000.0)
    assert "memory is" not in status_text(replace(cluster, nodes=(calm,)), None, 1000.0)
    assert f"short for 2 min: {told}" in node_sheet(short, 1000.0)
    assert "calm for 2 min" in node_sheet(calm, 1000.0)


HEADERS = ("NAME", "STATE", "PID")
ROWS = [("a" * 20, "unplaced: no machine has so much memory as it needs", "1")]


def test_a_narrow_terminal_loses_columns_and_folds_sentences_before_a_value_is_cut() -> None:
    wide = table(HEADERS, ROWS, 120, drop=("PID",), wrap=("STATE",))
    folded = table(HEADERS, ROWS, 60, drop=("PID",), wrap=("STATE",))
    narrow = table(HEADERS, ROWS, 50, drop=("PID",), wrap=("STATE",))

    assert wide == table(HEADERS, ROWS)
    assert len(folded.splitlines()) == 3 and "PID" in folded and max(map(len, folded.splitlines())) <= 60
    assert "PID" not in narrow and max(map(len, narrow.splitlines())) <= 50
    assert "".join(narrow.split()) == "".join(f"NAMESTATE{ROWS[0][0]}{ROWS[0][1]}".split())


def test_a_terminal_that_is_too_narrow_for_what_must_stay_gets_it_whole() -> None:
    assert table(HEADERS, ROWS, 10, drop=("PID",), wrap=()) == table(HEADERS[:2], [ROWS[0][:2]])


@given(st.lists(st.tuples(st.text(), st.text(), st.just("")), max_size=4), st.none() | st.integers(1, 200))
def test_no_width_cuts_a_value(rows: list[tuple[str, str, str]], columns: int | None) -> None:
    shown = "".join(table(HEADERS, rows, columns, drop=("PID",)).split())

    for name, state, _ in rows:
        assert "".join(printable(name).split()) + "".join(printable(state).split()) in shown


def test_a_name_beside_a_progress_bar_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with redirect_stderr(Screen()) as screen:
        with byte_progress("pulling [ok]") as advance:
            advance(1, 2)
        with waiting("installing [/srv/models]"):
            pass

    assert "pulling [ok]" in screen.getvalue()
    assert "installing [/srv/models]" in screen.getvalue()
