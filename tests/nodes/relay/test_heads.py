"""Heads that are known again: the same bytes but for a length, and no others."""

import pytest

from nodes.relay.heads import LONGEST_BYTES, MOST_HEADS, KnownHeads, cut

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\naccept: */*\r\n\r\n"


def test_heads_that_differ_in_their_length_only_are_the_same() -> None:
    short, long = cut(HEAD % b"2" + b"{}"), cut(HEAD % b"1234" + b"{")

    assert short is not None
    assert long is not None
    assert short[0] == long[0]
    assert (short[1], long[1]) == (2, 1234)
    assert (HEAD % b"2" + b"{}")[short[2] :] == b"{}"


def test_a_length_may_be_the_last_header() -> None:
    found = cut(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n")

    assert found is not None
    assert found[1] == 7


@pytest.mark.parametrize("digits", [b"", b"-1", b"+1", b"1 ", b"0x1", b"1,1", b"1_0", b"\xc2\xb2", b"1" * 10])
def test_a_length_that_is_not_plain_digits_is_left_to_a_parser(digits: bytes) -> None:
    assert cut(HEAD % digits) is None


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: 5", HEAD.replace(b"Content-Length: %b\r\n", b"")]
)
def test_a_head_without_its_end_or_a_length_is_left_to_a_parser(data: bytes) -> None:
    assert cut(data) is None


def test_a_long_head_is_left_to_a_parser() -> None:
    assert cut((HEAD % b"2").replace(b"accept: ", b"accept: " + b"a" * LONGEST_BYTES)) is None


def test_a_head_in_which_another_header_ends_alike_is_never_known() -> None:
    heads, found = KnownHeads[str](), cut(b"POST / HTTP/1.1\r\nx-length: 3\r\ncontent-length: 5\r\n\r\n")
    assert found is not None

    heads.learn(found[0], "made")

    assert heads.of(found[0]) is None


def test_so_many_are_kept_and_no_more() -> None:
    heads = KnownHeads[int]()
    each = [b"POST /%d HTTP/1.1\r\ncontent-length: \r\nhost: a" % number for number in range(MOST_HEADS + 1)]
    for number, same in enumerate(each):
        heads.learn(same, number)

    assert [known for same in each if (known := heads.of(same)) is not None] == [MOST_HEADS]
