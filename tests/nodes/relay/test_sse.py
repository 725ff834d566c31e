from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.relay.sse import EventFramer, EventTooLargeError

STREAM = b'data: {"a":1}\n\n: note\n\nevent: x\r\ndata: \xc3\xa9\r\n\r\ndata: y\r\rdata: [DONE]\n\ndata: cut'
WHOLE = b'data: {"a":1}\n\n: note\n\nevent: x\ndata: \xc3\xa9\n\ndata: y\n\ndata: [DONE]\n\n'


def test_cutting_the_stream_at_any_byte_gives_the_same_events() -> None:
    for cut in range(len(STREAM) + 1):
        framer = EventFramer(1000)

        assert framer.push(STREAM[:cut]) + framer.push(STREAM[cut:]) == WHOLE, cut
        assert framer.rest() == b"data: cut"


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_chunking_gives_the_same_events_and_cuts_only_between_them(cuts: list[int]) -> None:
    framer = EventFramer(1000)
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [framer.push(STREAM[start:end]) for start, end in pairwise(edges)]

    assert b"".join(pieces) == WHOLE
    assert all(piece.endswith(b"\n\n") for piece in pieces if piece)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n"]), max_size=12), st.integers(0, 12))
def test_line_ends_mean_the_same_however_they_arrive(parts: list[bytes], cut: int) -> None:
    stream = b"".join(parts) + b"z"
    at_once, in_two = EventFramer(100), EventFramer(100)

    whole = at_once.push(stream) + at_once.rest()

    assert in_two.push(stream[:cut]) + in_two.push(stream[cut:]) + in_two.rest() == whole
    assert b"\r" not in whole


def test_an_event_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    framer = EventFramer(10)

    with pytest.raises(EventTooLargeError):
        for _ in range(3):
            framer.push(b"data")
