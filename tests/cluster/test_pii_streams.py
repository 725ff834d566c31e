"""Texts that come in pieces, cut anywhere: nothing partial is said, nothing is lost, no more is held than must be."""

import string
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.pii.policy import PiiRules, Plan, Policy, Said, plan_of, refusal_of
from cluster.pii.pseudonyms import TOKEN, key_of, pseudonym
from cluster.pii.rewriting import rewritten
from cluster.pii.scan import STRETCH, scan, scan_long
from cluster.pii.spans import KINDS, Kind
from cluster.pii.streams import MOST_HELD, Blanking, Restoring
from support.pii_scores import labelled

KEY = key_of(b"pepper", "home")
MAIL = pseudonym(KEY, "email", "ana@example.com")
IBAN = pseudonym(KEY, "iban", "ES9121000418450200051332")
VALUES = {MAIL: "ana@example.com", IBAN: "ES9121000418450200051332"}
TEXTS = [one.text for part in ("tuning", "hard") for one in labelled(part)]


def plan(policy: Policy) -> Plan:
    made = plan_of(PiiRules(policy))
    assert made is not None
    return made


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)
WRITTEN = st.lists(
    st.sampled_from([MAIL, IBAN, MAIL[:-1], "[", "[EMAIL_", "]", " ", "a", "[EMAIL_0123456789abcdef]", "\n", "[["]),
    max_size=12,
).map("".join)


@given(WRITTEN, CUTS)
def test_however_a_text_is_cut_the_same_values_are_put_back(text: str, cuts: list[int]) -> None:
    restoring = Restoring(VALUES)

    told = "".join(map(restoring.push, pieces(text, cuts))) + restoring.flush()

    assert told == text.replace(MAIL, VALUES[MAIL]).replace(IBAN, VALUES[IBAN])


@pytest.mark.parametrize("cut", range(1, len(MAIL)))
def test_a_partial_pseudonym_is_held_back_and_nothing_before_it(cut: int) -> None:
    restoring = Restoring(VALUES)

    assert restoring.push(f"To {MAIL[:cut]}") == "To "
    assert restoring.push(f"{MAIL[cut:]}, now") == f"{VALUES[MAIL]}, now"
    assert restoring.flush() == ""


@pytest.mark.parametrize("tail", ["[EMAIL_zz", "[x", "[1", "] ["])
def test_what_cannot_become_one_of_this_request_is_said_at_once(tail: str) -> None:
    restoring = Restoring(VALUES)

    assert restoring.push(tail) == tail.removesuffix("[")


@given(st.sampled_from(TEXTS), CUTS)
def test_however_a_text_is_cut_what_is_told_of_it_holds_nothing_that_is_blanked(text: str, cuts: list[int]) -> None:
    blanking = Blanking(plan("redact"))

    told = "".join(map(blanking.push, pieces(text, cuts))) + blanking.flush()

    for span in scan(text):
        assert text[span.start : span.end] not in told


@pytest.mark.parametrize(
    "value", ["ES91 2100 0418 4502 0005 1332", "ana@example.com", "+34 612 34 56 78", "4111 1111 1111 1111"]
)
def test_a_value_that_comes_a_character_at_a_time_is_never_half_said(value: str) -> None:
    blanking, said = Blanking(plan("redact")), ""
    for one in f"It is {value}, as ever. And more words follow.":
        said += blanking.push(one)
        assert said in (
            "",
            *(f"It is [{kind.upper()}], as ever. And more words follow."[:end] for kind in KINDS for end in range(60)),
        )
    said += blanking.flush()

    assert value not in said
    assert said.endswith(", as ever. And more words follow.")


def test_words_are_said_as_they_come_and_what_never_pauses_is_not_held_for_ever() -> None:
    blanking = Blanking(plan("redact"))

    assert blanking.push("A word and an") == "A word and "
    assert blanking.push("other, ") == "another, "
    assert len(blanking.push("x" * (MOST_HELD + 1))) == MOST_HELD + 1


def test_a_private_key_over_many_lines_is_blanked_whole() -> None:
    blanking = Blanking(plan("redact"))
    key = "-----BEGIN PRIVATE KEY-----\n" + "abcd efgh\n" * 40 + "-----END PRIVATE KEY-----"

    told = "".join(blanking.push(one) for one in f"Here: {key}\nDone. ") + blanking.flush()

    assert told == "Here: [SECRET]\nDone. "


@given(st.sampled_from(TEXTS), st.sampled_from(["redact", "pseudonymise", "refuse"]))
def test_nothing_is_recognised_in_what_was_rewritten(text: str, policy: Policy) -> None:
    made = rewritten(text, scan(text), plan(policy), lambda kind, value: pseudonym(KEY, kind, value))

    assert scan(made.text) == ()


@given(st.sampled_from(TEXTS))
def test_pseudonyms_lead_back_to_the_very_text(text: str) -> None:
    values: dict[str, str] = {}

    def naming(kind: Kind, value: str) -> str:
        token = pseudonym(KEY, kind, value)
        values[token] = value
        return token

    made = rewritten(text, scan(text), plan("pseudonymise"), naming)
    restoring = Restoring(values)

    assert restoring.push(made.text) + restoring.flush() == text
    assert len(TOKEN.findall(made.text)) == len(scan(text))


@given(st.sampled_from(TEXTS), st.integers(0, 400))
def test_a_place_of_the_old_text_is_found_in_the_other_one(text: str, at: int) -> None:
    spans = scan(text)
    made = rewritten(text, spans, plan("redact"), lambda kind, value: "")
    at = min(at, len(text))

    assert made.place(0) == 0
    assert made.place(len(text)) == len(made.text)
    if not any(span.start < at < span.end for span in spans):
        assert made.text[made.place(at) :] == rewritten(
            text[at:], [span._replace(start=span.start - at, end=span.end - at) for span in spans if span.start >= at],
            plan("redact"), lambda kind, value: "",
        ).text  # fmt: skip


def test_another_tenant_has_other_pseudonyms_for_the_same_value() -> None:
    assert pseudonym(key_of(b"pepper", "school"), "email", "ana@example.com") != MAIL
    assert set(MAIL) <= set(string.ascii_letters + string.digits + "[]_")


def test_the_strictest_of_all_that_is_said_applies_and_says_whose_it_is() -> None:
    rules = PiiRules("tag", (("iban", "refuse"), ("ip", "off")))
    made = plan_of(rules, (Said("the key", "redact"), Said("the space", None)))
    assert made is not None

    assert (
        made.why({"email": 1, "iban": 1, "ip": 1})
        == "email=redact (the key), iban=refuse (cluster.yaml), ip=redact (the key)"
    )
    spans = scan("IBAN ES9121000418450200051332")
    assert refusal_of(made, spans) == (
        "it holds personal data or secrets that are refused here: iban=1 (iban=refuse (cluster.yaml))"
    )
    assert plan_of(PiiRules(), (Said("the key", "off"),)) is None


def test_a_long_document_is_looked_at_in_stretches_and_nothing_is_lost_between_them() -> None:
    line = "Escribe a ana@example.com o llama al 612 345 678, por favor.\n"
    key = "-----BEGIN PRIVATE KEY-----\n" + "abcdefgh\n" * 900 + "-----END PRIVATE KEY-----\n"
    text = line * (STRETCH // len(line) - 60) + key + line * 600

    found = scan_long(text)

    assert [span.kind for span in found].count("email") == text.count("@")
    assert [text[span.start : span.end] for span in found if span.kind == "secret"] == [key.rstrip("\n")]
