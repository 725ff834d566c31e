"""What every command says, word by word: its help at 80 and 120 columns, and what it prints in both and in a pipe.

`POTLUCK_GOLDEN=write pytest tests/cli/test_golden.py` writes tests/cli/golden anew; the difference is then to be read.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cli.main import app
from support.golden_commands import BARE, PRINTS
from support.golden_fleet import NOW_S
from support.golden_place import GoldenPlace, golden_place
from support.terminal import shown

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (80, 120)
Words = tuple[str, ...]


def commands(group: TyperGroup, before: Words = ()) -> Iterator[Words]:
    """Every one that help names, groups first."""
    yield before
    for name, command in sorted(group.commands.items()):
        if isinstance(command, TyperGroup):
            yield from commands(command, (*before, name))
        elif not command.hidden:
            yield (*before, name)


ROOT = get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = tuple(commands(ROOT))
GROUPS = {words for words in COMMANDS if any(other[:-1] == words for other in COMMANDS if other)}


@pytest.fixture(scope="module")
def place() -> Iterator[GoldenPlace]:
    with golden_place() as made:
        yield made


def body(place: GoldenPlace, words: Words, columns: int | None) -> str:
    done = shown(tuple(word.format(root=place.paths.root) for word in words), place.paths, columns, NOW_S)
    talk = "".join(f"! {line}".rstrip() + "\n" for line in done.err.splitlines())
    return place.masked(f"{done.out}{talk}{f'exit {done.status}' + chr(10) if done.status else ''}")


def said(place: GoldenPlace, words: Words, widths: Sequence[int | None]) -> str:
    """Once, where it is the same at any width."""
    line = f"$ potluck {' '.join(words).replace('{root}/', '')}"
    found = {columns: body(place, words, columns) for columns in widths}
    if len({*found.values()}) == 1:
        return f"{line}\n{found[widths[0]]}"
    named = {columns: f"   # {columns} columns" if columns else " | cat" for columns in widths}
    return "\n".join(f"{line}{named[columns]}\n{text}" for columns, text in found.items())


def golden(place: GoldenPlace, words: Words) -> str:
    examples = [(*words, *example) for example in PRINTS.get(words, ())]
    return "\n".join(
        [said(place, (*words, "--help"), WIDTHS), *(said(place, one, (*WIDTHS, None)) for one in examples)]
    )


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words) or "potluck")
def test_a_command_says_what_it_said(place: GoldenPlace, words: Words) -> None:
    file, found = GOLDEN / f"{'-'.join(words) or 'potluck'}.txt", golden(place, words)
    if os.environ.get("POTLUCK_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(found)

    assert file.exists(), f"no golden output; POTLUCK_GOLDEN=write pytest {Path(__file__).name} writes it"
    assert found.splitlines() == file.read_text().splitlines()


def test_every_command_has_examples_or_a_reason_why_it_has_none() -> None:
    assert {*PRINTS, *BARE, *GROUPS} == {*COMMANDS}
    assert not {*PRINTS} & {*BARE}


def test_no_output_is_kept_of_a_command_that_is_gone() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == {"-".join(words) or "potluck" for words in COMMANDS}


def test_no_output_is_cut_short() -> None:
    """By which one knows it: what cuts writes an ellipsis. Explanations in help may have one."""
    outputs = [part for file in GOLDEN.iterdir() for part in file.read_text().split("$ potluck ")]

    assert not [part for part in outputs if "…" in part and "--help" not in part.partition("\n")[0]]
