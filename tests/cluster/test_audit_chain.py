"""The arithmetic of the audit, and what its verification finds: every single change, by the record's number."""

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from cluster.audit_chain import BadCheckpointError, Chain, Checkpoint, Link, Tree, read, record_digest, sign
from cluster.audit_verify import Evidence, Finding, Voucher, verify
from support.audit_log import KEY, LOG, WrittenLog, body, written

PUBLIC = KEY.public_key()
TARGET = st.text(st.characters(codec="utf-8"), min_size=4, max_size=8)


@st.composite
def logs(draw: st.DrawFn) -> tuple[WrittenLog, int]:
    """A log, and the place of one of its records."""
    count = draw(st.integers(1, 24))
    places = st.sets(st.integers(1, count), max_size=4)
    return written(count, tuple(draw(places)), tuple(draw(places) - {count})), draw(st.integers(1, count))


def found(log: WrittenLog, links: list[Link]) -> Finding | None:
    return verify(log.evidence, links, PUBLIC).finding


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_by_definition(leaves[:split]) + root_by_definition(leaves[split:])).digest()


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_a_tree_that_grew_has_the_root_of_one_that_was_made_at_once(leaves: list[bytes]) -> None:
    tree = Tree()
    for leaf in leaves:
        tree = tree.with_leaf(leaf)

    assert tree.root == root_by_definition(leaves)


@given(logs())
def test_a_log_as_it_was_written_is_whole(drawn: tuple[WrittenLog, int]) -> None:
    log, _ = drawn

    verdict = verify(log.evidence, log.links, PUBLIC)

    assert verdict.finding is None
    assert (verdict.records, verdict.last) == (len(log.links), len(log.links))
    assert verdict.agreeing == (("audit.db", len(log.vouchers)),)


@given(logs(), st.data())
def test_one_changed_byte_is_named(drawn: tuple[WrittenLog, int], data: st.DataObject) -> None:
    log, place = drawn
    links = list(log.links)
    link = links[place - 1]
    parts = [link.previous, link.body, link.digest]
    number = data.draw(st.integers(0, 2))
    content = bytearray(parts[number])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    parts[number] = bytes(content)
    links[place - 1] = Link(link.sequence, *parts)

    finding = found(log, links)

    assert finding is not None
    assert finding.sequence == place


@given(logs(), TARGET)
def test_a_record_that_was_replaced_by_another_with_a_right_hash_is_named(
    drawn: tuple[WrittenLog, int], target: str
) -> None:
    log, place = drawn
    links = list(log.links)
    forged = body(place, target)
    assume(forged != links[place - 1].body)
    links[place - 1] = replace(links[place - 1], body=forged, digest=record_digest(links[place - 1].previous, forged))

    finding = found(log, links)

    assert finding is not None
    assert finding.sequence <= place <= finding.through
    if not any(read(voucher.checkpoint, PUBLIC).sequence == place for voucher in log.vouchers):
        assert (finding.fault, finding.sequence, finding.through) == ("edited", place, place)


@given(logs())
def test_a_record_that_is_gone_is_named(drawn: tuple[WrittenLog, int]) -> None:
    log, place = drawn
    links = [link for link in log.links if link.sequence != place]

    finding = found(log, links)

    assert finding is not None
    assert finding.fault == ("truncated" if place == len(log.links) else "deleted")
    assert finding.sequence == place


@given(logs())
def test_a_gap_that_was_closed_by_counting_anew_is_named(drawn: tuple[WrittenLog, int]) -> None:
    log, place = drawn
    kept = [link for link in log.links if link.sequence != place]
    links = [replace(link, sequence=number) for number, link in enumerate(kept, start=1)]

    finding = found(log, links)

    assert finding is not None
    assert finding.sequence == place


@given(logs(), st.data())
def test_two_records_that_changed_places_are_named(drawn: tuple[WrittenLog, int], data: st.DataObject) -> None:
    log, place = drawn
    other = data.draw(st.integers(1, len(log.links)))
    assume(other != place)
    rows, lines = list(log.links), list(log.links)
    rows[place - 1] = replace(log.links[other - 1], sequence=place)
    rows[other - 1] = replace(log.links[place - 1], sequence=other)
    lines[place - 1], lines[other - 1] = lines[other - 1], lines[place - 1]

    for links in (rows, lines):
        finding = found(log, links)
        assert finding is not None
        assert finding.sequence == min(place, other)


@given(logs(), st.booleans(), st.booleans())
def test_a_record_that_was_put_in_is_named(drawn: tuple[WrittenLog, int], counted: bool, fitting: bool) -> None:
    log, place = drawn
    before = log.links[place - 1]
    previous = before.previous if fitting else bytes(32)
    forged = body(place, "forged")
    links = [*log.links[: place - 1], Link(place, previous, forged, record_digest(previous, forged))]
    links += [replace(link, sequence=link.sequence + counted) for link in log.links[place - 1 :]]

    finding = found(log, links)

    assert finding is not None
    assert finding.sequence <= place <= finding.through


@given(logs(), st.integers(1, 5))
def test_a_log_that_was_cut_short_is_named(drawn: tuple[WrittenLog, int], more: int) -> None:
    log, place = drawn
    finding = found(log, list(log.links[: place - 1]))

    assert finding == Finding("truncated", place, len(log.links), finding.message if finding else "")

    chain, longer = Chain.begin(LOG, 0), list(log.links)
    for link in longer:
        chain = chain.with_digest(link.digest)
    for number in range(len(longer) + 1, len(longer) + 1 + more):
        link, chain = chain.linked(body(number))
        longer.append(link)
    unsigned = found(log, longer)
    assert unsigned is not None
    assert (unsigned.fault, unsigned.sequence) == ("inserted", len(log.links) + 1)


@given(st.integers(2, 24), st.data())
def test_a_history_written_anew_with_the_signing_key_is_found_by_an_older_copy(count: int, data: st.DataObject) -> None:
    held = data.draw(st.integers(1, count))
    place = data.draw(st.integers(1, held))
    true, chain, links = written(count, (held,)), Chain.begin(LOG, 0), []
    for number in range(1, count + 1):
        link, chain = chain.linked(body(number, "forged" if number == place else "box"))
        links.append(link)
    own = Voucher(sign(chain.statement(0), KEY), "audit.db")
    copy = next(v for v in true.vouchers if read(v.checkpoint, PUBLIC).sequence == held)

    alone = verify(Evidence(LOG, (own,)), links, PUBLIC)
    compared = verify(Evidence(LOG, (own, replace(copy, keeper="mac"))), links, PUBLIC)

    assert alone.finding is None  # nobody else knows better
    assert compared.finding is not None
    assert compared.finding.fault == "rewritten" and "mac" in compared.finding.message
    assert compared.finding.sequence <= place <= compared.finding.through


def test_records_that_are_gone_need_a_record_that_says_so() -> None:
    log = written(6, closed=(3,))

    verdict = verify(replace(log.evidence, first=4), log.links[3:], PUBLIC)
    part = verify(replace(log.evidence, first=4, whole=False), log.links[3:], PUBLIC)
    unvouched = verify(replace(log.evidence, first=3), log.links[2:], PUBLIC)

    assert verdict.finding is not None and verdict.finding.fault == "deleted"
    assert part.finding is None
    assert unvouched.finding is not None and unvouched.finding.through == 2


def test_a_checkpoint_of_another_key_or_another_log_is_foreign() -> None:
    log, stranger = written(3), Ed25519PrivateKey.generate()
    other_log = sign(Chain.begin("another", 0).statement(0), KEY)
    statement = read(log.vouchers[-1].checkpoint, PUBLIC)

    for checkpoint in (sign(statement, stranger), other_log, Checkpoint("{}", "00")):
        evidence = Evidence(LOG, (*log.vouchers, Voucher(checkpoint, "mac")))
        finding = verify(evidence, log.links, PUBLIC).finding
        assert finding is not None
        assert finding.fault == "foreign" and "mac" in finding.message
    with pytest.raises(BadCheckpointError):
        read(replace(log.vouchers[-1].checkpoint, text="{}"), PUBLIC)
