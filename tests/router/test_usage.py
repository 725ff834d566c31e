from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from router.usage import OutputDetails, Progress, PromptDetails, StreamTap, Usage, joined
from support.upstream import DONE, token_event, usage_event

STREAM = token_event("a") + token_event('she said "usage": {1}') + usage_event(3, 2) + DONE


def split(stream: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]


def test_the_usage_chunk_is_noted_and_left_out_unless_it_was_asked_for() -> None:
    silent, told = StreamTap(usage_wanted=False), StreamTap(usage_wanted=True)

    assert silent.pass_on(STREAM) == STREAM.replace(usage_event(3, 2), b"")
    assert told.pass_on(STREAM) == STREAM
    for tap in (silent, told):
        assert (tap.usage(), tap.done) == (Usage(3, 2), True)


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
    assert tap.usage() == Usage(completion_tokens=1)


def test_what_only_looks_like_usage_is_passed_on() -> None:
    tap = StreamTap(usage_wanted=False)
    for event in (b'data: {"usage": {"a"\n\n', token_event("usage"), b'data: {"choices": [], "usage": null}\n\n'):
        assert tap.pass_on(event) == event
    assert tap.usage() is None


def test_an_engines_error_event_stops_the_stream_before_it() -> None:
    tap = StreamTap(usage_wanted=False)

    assert tap.pass_on(token_event("a") + b'data: {"error": {"message": "x"}}\n\n' + DONE) == token_event("a")
    assert tap.error == b'data: {"error": {"message": "x"}}'


def chunk(choices: object, **fields: object) -> bytes:
    return b"data: " + msgspec.json.encode({"choices": choices, **fields}) + b"\n\n"


def delta(**fields: object) -> bytes:
    return chunk([{"index": 0, "delta": fields, "finish_reason": None}])


def test_events_that_carry_tokens_are_counted_and_no_others() -> None:
    tap = StreamTap(usage_wanted=False)
    for event in (
        b": keepalive\n\n",
        delta(role="assistant", content=""),
        delta(role="assistant", content=None),
        delta(reasoning="Well", content=None),
        b": keepalive\n\n",
        delta(content="I") + b": keepalive\n\n" + delta(content="") + delta(content=" am"),
    ):
        tap.pass_on(event)

    assert tap.events == 4


@given(st.lists(st.integers(0, 9), max_size=9))
def test_events_are_counted_alike_in_any_grouping(cuts: list[int]) -> None:
    events = [
        delta(role="assistant", content=""),
        *(delta(content=f"{n}") for n in range(7)),
        b":\n\n",
        usage_event(3, 7),
    ]
    tap = StreamTap(usage_wanted=False)
    for start, end in pairwise([0, *sorted(cuts), len(events)]):
        if start < end:
            tap.pass_on(b"".join(events[start:end]))

    assert (tap.events, tap.usage()) == (7, Usage(3, 7))


def test_what_an_engine_tells_of_its_way_through_a_prompt_is_kept_and_not_for_clients() -> None:
    tap = StreamTap(usage_wanted=False, progress_key=b'"prompt_progress"')
    for processed in (0, 512, 900):
        progress = {"total": 900, "cache": 36, "processed": processed, "time_ms": 5}
        assert tap.pass_on(chunk([{"index": 0, "delta": {"role": "assistant"}}], prompt_progress=progress)) == b""

    assert (tap.progress(), tap.events) == (Progress(900, 36), 0)


def test_progress_that_cannot_be_read_is_none() -> None:
    for event in (b'data: {"prompt_progress"\n\n', b'data: {"prompt_progress": 7}\n\n', chunk(["prompt_progress"])):
        tap = StreamTap(usage_wanted=False, progress_key=b'"prompt_progress"')
        tap.pass_on(event)
        assert tap.progress() is None


def test_an_engine_that_counts_each_choice_by_itself_is_added_up() -> None:
    of_one = Usage(900, 3, PromptDetails(899), OutputDetails(2))

    assert joined([of_one], 2) == of_one
    assert joined([of_one, of_one], 2) == Usage(900, 6, PromptDetails(899), OutputDetails(4))
    assert joined([Usage(2, 3), Usage(4, 3)], 1) == Usage(6, 6, PromptDetails(None), OutputDetails(None))
    assert joined([], 1) is None
