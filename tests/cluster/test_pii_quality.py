"""What the labelled texts say of the recognisers: how much they find, how much of that is right, and that no text makes
them slow beyond its length."""

import signal
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from cluster.pii.scan import scan
from support.pii_maker import PARTS as MADE
from support.pii_maker import line_of, texts_of
from support.pii_scores import FOLDER, PARTS, Labelled, labelled, scores


@pytest.mark.parametrize("part", ["tuning", "held_out"])
def test_structured_kinds_are_found_as_often_and_as_rightly_as_is_promised(part: str) -> None:
    told = scores(labelled(part), scan)

    assert told.recall >= 0.99, told.wrong
    assert told.precision >= 0.95, told.wrong
    assert len(told.expected) >= 11


def test_hardly_anything_is_found_where_there_is_nothing() -> None:
    assert scores(labelled("hard"), scan).wrong == ()


@pytest.mark.parametrize("part", list(MADE))
def test_the_labelled_texts_are_those_that_their_templates_make(part: str) -> None:
    assert (FOLDER / f"{part}.jsonl").read_text().splitlines() == [line_of(one) for one in texts_of(part)]


def test_a_score_counts_what_is_missed_and_what_is_wrong() -> None:
    texts = [Labelled("DNI 12345678Z", (("nif", 4, 13),)), Labelled("12345678", (("phone", 0, 8),)),
             Labelled("a@example.com", ())]  # fmt: skip

    told = scores(texts, scan)

    assert (told.recall, told.precision, len(told.wrong)) == (0.5, 0.5, 2)


SIZE, DEADLINE_S = 200_000, 120
HOSTILE: dict[str, Callable[[int], str]] = {
    "digits": lambda count: "1" * count, "digits apart": lambda count: "1 " * (count // 2),
    "groups": lambda count: "612 345 678 " * (count // 12), "at signs": lambda count: "@" * count,
    "addresses": lambda count: "a@" * (count // 2), "dots": lambda count: "a@" + "a." * (count // 2),
    "dashes": lambda count: "a@" + "a-" * (count // 2), "local part": lambda count: "a" * count + "@",
    "tokens": lambda count: "eyJ" * (count // 3), "token dots": lambda count: "eyJaaaaaaaa." * (count // 12),
    "keys": lambda count: "-----BEGIN PRIVATE KEY-----" * (count // 27), "colons": lambda count: ":" * count,
    "hex": lambda count: "a1:" * (count // 3), "said": lambda count: "password: " * (count // 10),
    "saying": lambda count: "password for the root " * (count // 22),
    "led": lambda count: "pasaporte es es " * (count // 16),
    "countries": lambda count: "ES91 " * (count // 5), "schemes": lambda count: "://a:" * (count // 5),
    "signs": lambda count: "+(" * (count // 2), "numbers": lambda count: "1." * (count // 2),
    "history": lambda count: "historia clínica nº " * (count // 20),
    "letters": lambda count: "ABCD 1 901231 " * (count // 14),
    "spaces": lambda count: " " * count, "bearers": lambda count: "bearer  " * (count // 8),
}  # fmt: skip


@pytest.fixture
def deadline() -> Iterator[None]:
    """So that a pattern that backtracks over and over ends the test, and not the run: it would take hours."""

    def late(*_: object) -> None:
        raise TimeoutError("a text of this form takes more than its length")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("deadline")
@pytest.mark.parametrize("form", HOSTILE)
def test_no_text_is_too_much_whatever_its_form(form: str) -> None:
    spans = scan(HOSTILE[form](SIZE))

    assert all(before.end <= after.start for before, after in pairwise(spans))


def test_parts_are_all_there() -> None:
    assert [len(labelled(part)) for part in PARTS] == [301, 198, 60]
