from hypothesis import given
from hypothesis import strategies as st

from cli.table import duration, printable, table


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
