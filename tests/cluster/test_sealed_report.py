"""Reports of sealed mode: added up by peer and process, and signed so that a change is seen."""

from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.audit_chain import public_text
from cluster.sealed_report import (
    FORMAT,
    LIMITS,
    Entry,
    NotAReportError,
    Report,
    SignedReport,
    added_up,
    encoded,
    read_entries,
    sign,
    verified,
)

KEY = Ed25519PrivateKey.generate()


def entry(at_ms: int, peer: str, verdict: str = "refused", process: str = "potluck gateway", count: int = 1) -> Entry:
    return Entry(at_ms, verdict, "connects to", peer, count, process, 7, (f"at.{at_ms}",))


def report(*entries: Entry) -> Report:
    rows = added_up(entries, 0, 1000)
    return Report(
        FORMAT, "home", "box", True, 0, 1000, ("10.1.0.0/24",), rows, 0, LIMITS, public_text(KEY.public_key())
    )


def test_the_same_to_the_same_by_the_same_is_one_row() -> None:
    rows = added_up(
        [
            entry(10, "a:1"),
            entry(30, "a:1", count=4),
            entry(20, "a:1", process="ray"),
            entry(15, "b:1"),
            entry(5, "a:1"),
            entry(50, "a:1"),
            entry(12, "c:1", verdict="contacted", count=9),
        ],
        from_ms=10,
        to_ms=50,
    )

    assert [(row.verdict, row.peer, row.process, row.count, row.first_ms, row.last_ms) for row in rows] == [
        ("contacted", "c:1", "potluck gateway", 9, 12, 12),
        ("refused", "a:1", "potluck gateway", 5, 10, 30),
        ("refused", "a:1", "ray", 1, 20, 20),
        ("refused", "b:1", "potluck gateway", 1, 15, 15),
    ]
    assert rows[1].modules == ("at.30",)


def test_lines_that_were_cut_are_counted_and_the_others_read() -> None:
    whole = msgspec.json.encode(entry(1, "a:1"))

    entries, unreadable = read_entries([whole, whole[:20], b"", b"\xff\xfe", whole])

    assert (entries, unreadable) == ((entry(1, "a:1"),) * 2, 2)


def test_a_report_is_what_was_signed() -> None:
    made = report(entry(1, "a:1"))

    assert verified(encoded(sign(made, KEY)), KEY.public_key()) == made


def test_a_report_without_one_refusal_is_not_what_was_signed() -> None:
    signed = sign(report(entry(1, "a:1"), entry(2, "b:1")), KEY)
    fewer = sign(report(entry(1, "a:1")), Ed25519PrivateKey.generate())

    for forged in (SignedReport(fewer.report, signed.signature), fewer):
        with pytest.raises(NotAReportError, match="was not signed by the key"):
            verified(encoded(forged), KEY.public_key())


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"report": "{}", "signature": "zz"}', b"\xff"])
def test_what_is_no_report_says_so(content: bytes) -> None:
    with pytest.raises(NotAReportError):
        verified(content, KEY.public_key())


def test_a_report_of_a_later_format_is_not_guessed_at() -> None:
    later = replace(report(), potluck_sealed_report=FORMAT + 1)

    with pytest.raises(NotAReportError, match=f"format {FORMAT + 1}"):
        verified(encoded(sign(later, KEY)), KEY.public_key())
