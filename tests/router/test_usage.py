from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from router.usage import StreamTap
from support.upstream import DONE, token_event, usage_event

STREAM = token_event("a") + token_event('she said "usage": {1}') + usage_event(3, 2) + DONE


def split(stream: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]


def test_the_usage_chunk_is_noted_and_left_out_unless_it_was_asked_for() -> None:
    silent, told = StreamTap(usage_wanted=False), StreamTap(usage_wanted=True)

    assert silent.pass_on(STREAM) == STREAM.replace(usage_event(3, 2), b"")
    assert told.pass_on(STREAM) == STREAM
    for tap in (silent, told):
        assert tap.usage is not None
        assert (tap.usage.prompt_tokens, tap.usage.completion_tokens, tap.done) == (3, 2, True)


@given(st.lists(st.integers(0, 4), max_size=4))
def test_events_in_any_grouping_give_the_same_stream(cuts: list[int]) -> None:
    events = split(STREAM)
    edges = [0, *sorted(cuts), len(events)]
    tap = StreamTap(usage_wanted=False)
    groups = [b"".join(events[start:end]) for start, end in pairwise(edges)]

    assert b"".join(tap.pass_on(group) for group in groups if group) == STREAM.replace(usage_event(3, 2), b"")
    assert tap.done


def test_usage_beside_content_is_noted_and_passed_on() -> None:
    event = token_event("a").replace(b'"choices"', b'"usage": {"completion_tokens": 1}, "choices"')
    tap = StreamTap(usage_wanted=False)

    assert tap.pass_on(event) == event
    assert tap.usage is not None
    assert tap.usage.completion_tokens == 1


def test_what_only_looks_like_usage_is_passed_on() -> None:
    tap = StreamTap(usage_wanted=False)
    for event in (b'data: {"usage": {"a"\n\n', token_event("usage"), b'data: {"choices": [], "usage": null}\n\n'):
        assert tap.pass_on(event) == event
    assert tap.usage is None


def test_an_engines_error_event_stops_the_stream_before_it() -> None:
    tap = StreamTap(usage_wanted=False)

    assert tap.pass_on(token_event("a") + b'data: {"error": {"message": "x"}}\n\n' + DONE) == token_event("a")
    assert tap.error == b'data: {"error": {"message": "x"}}'
