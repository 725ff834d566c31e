"""Twelve ways out of a sealed machine: each is refused, and the journal names who tried it."""

from pathlib import Path

from support.leak_attempts import LEAKS
from support.sealed_leaks import try_leaks


def test_twelve_ways_out_are_refused_and_who_tried_is_named(tmp_path: Path) -> None:
    tried = try_leaks(tmp_path)

    assert tried.missing == [], tried.said
    assert len(tried.refused) == len(LEAKS) == 12
