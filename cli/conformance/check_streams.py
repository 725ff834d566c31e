"""Checks of streams: how they are framed, what their last events are, and that they come as they are made."""

from cli.conformance.dialects import CHAT, Dialect
from cli.conformance.reading import at, count_at, events_in, list_at, parsed, text_at
from cli.conformance.server import Server
from cli.conformance.verdicts import Check, Seen, failed, judged, not_offered, not_tried, passed

COUNT = "Count from one to fifty, in words."
EMOJI = "🎉" * 12
TOO_SHORT_S = 0.15  # what is over sooner shows nothing


async def ends(server: Server) -> Seen:
    async def ending(dialect: Dialect) -> str | None:
        streamed, _ = await server.stream(dialect, COUNT, 8)
        events, _ = events_in(streamed.answer.body)
        marks = [event.data == "[DONE]" for event in events]
        if marks.count(True) != 1:
            return f"{marks.count(True)} [DONE]"
        return None if marks[-1] else "something follows [DONE]"

    spoken = [dialect for dialect in server.facts.offered if dialect.path.endswith("completions")]
    return judged({dialect.name: await ending(dialect) for dialect in spoken})


async def framing(server: Server) -> Seen:
    async def framed(dialect: Dialect) -> str | None:
        streamed, heard = await server.stream(dialect, COUNT, 8)
        if streamed.answer.status != 200:
            return f"{streamed.answer.status}"
        return heard.problems[0] if heard.problems else None

    return judged({dialect.name: await framed(dialect) for dialect in server.facts.offered})


async def chunks(server: Server) -> Seen:
    streamed, heard = await server.stream(CHAT, COUNT, 8)
    events, _ = events_in(streamed.answer.body)
    documents = [parsed(event.data) for event in events if event.data != "[DONE]"]
    for document in documents:
        lacks = [name for name in ("id", "object", "model") if not text_at(document, name)]
        lacks += ["created"] if count_at(document, "created") is None else []
        lacks += ["choices"] if not isinstance(at(document, "choices"), list) else []
        if lacks:
            return failed(f"a chunk lacks {', '.join(lacks)}")
    if len(heard.ids) != 1:
        return failed(f"{len(heard.ids)} ids in one stream")
    choices = [choice for document in documents for choice in list_at(document, "choices")]
    reasons = [reason for choice in choices if (reason := text_at(choice, "finish_reason"))]
    if len(reasons) != 1:
        return failed(f"{len(reasons)} finish_reason")
    return passed(f"{len(documents)} chunks, finish_reason {reasons[0]}")


async def usage_chunk(server: Server) -> Seen:
    asked, _ = await server.stream(CHAT, COUNT, 8)
    unasked, _ = await server.stream(CHAT, COUNT, 8, stream_options=None)
    if unasked.answer.status != 200:
        return failed(f"{unasked.answer.status} for stream_options null")
    counted, uncounted = (_usage_chunks(streamed.answer.body) for streamed in (asked, unasked))
    if uncounted:
        return failed("told although it was not asked for")
    if len(counted) != 1:
        return failed(f"{len(counted)} of them")
    alone = at(counted[0][1], "choices") == []
    last = counted[0][0]
    return passed("one, last, without choices") if alone and last else failed("it is not last, or not without choices")


def _usage_chunks(body: bytes) -> list[tuple[bool, object]]:
    """Each with whether it is the last before the end."""
    events, _ = events_in(body)
    documents = [parsed(event.data) for event in events if event.data != "[DONE]"]
    return [
        (number == len(documents), one) for number, one in enumerate(documents, 1) if isinstance(at(one, "usage"), dict)
    ]


async def as_made(server: Server) -> Seen:
    streamed, _ = await server.stream(CHAT, COUNT, 80)
    first, last = streamed.arrivals[0], streamed.arrivals[-1]
    if last < TOO_SHORT_S:
        return not_tried(f"the whole answer took {last * 1000:.0f} ms")
    evidence = f"first bytes after {first:.2f} s of {last:.2f} s"
    return passed(evidence) if first < last / 2 else failed(evidence)


async def characters(server: Server) -> Seen:
    heard_any = False
    for dialect in server.facts.offered:
        streamed, heard = await server.stream(dialect, f"Say this again: {EMOJI}", 24)
        if "not UTF-8" in heard.problems:
            return failed(f"{dialect.name}: bytes that are not UTF-8")
        if streamed.answer.status == 200 and "�" in heard.text.rstrip("�"):
            return failed(f"{dialect.name}: a character is broken: {heard.text[:30]!r}")
        heard_any = heard_any or any(ord(char) > 0xFFFF for char in heard.text)
    return passed("emoji came whole") if heard_any else not_tried("the model repeats no emoji")


async def bad_stream(server: Server) -> Seen:
    """A refusal before the first byte is a status, not an event."""
    if not server.facts.offered:
        return not_offered("no dialect")
    statuses = {}
    for dialect in server.facts.offered:
        body = dialect.streamed(dialect.ask("conformance-no-such-model", COUNT, 8))
        answer = await server.post(dialect.path, body)
        statuses[dialect.name] = None if 400 <= answer.status < 500 else f"{answer.status}"
    return judged(statuses)


CHECKS = (
    Check(
        "stream-end",
        "streams",
        "A stream of chat or completions ends with one `data: [DONE]`, and nothing after it.",
        "Without it, a client cannot tell an end from a cut.",
        ends,
    ),
    Check(
        "stream-framing",
        "streams",
        "Every event of every dialect is well-formed, in order, and ends as its dialect ends.",
        "Messages begin with message_start and end with message_stop; responses count; Ollama's last line is done.",
        framing,
    ),
    Check(
        "stream-chunks",
        "streams",
        "Chunks of one chat have one id, object, created and model, and one finish_reason.",
        "Strict clients refuse a chunk that lacks one.",
        chunks,
    ),
    Check(
        "stream-usage",
        "streams",
        "Asked by stream_options, usage comes once, last, with no choices; otherwise never.",
        "Clients that do not ask may not expect a chunk without choices.",
        usage_chunk,
    ),
    Check(
        "stream-as-made",
        "streams",
        "A stream's first bytes come long before its last.",
        "A proxy on the way holds them back: nginx needs `proxy_buffering off`.",
        as_made,
    ),
    Check(
        "stream-utf8",
        "streams",
        "Characters of several tokens come whole.",
        "An emoji is up to six tokens; half of one is no text.",
        characters,
    ),
    Check(
        "stream-refused",
        "streams",
        "A stream that is refused before it begins is an HTTP status.",
        "Clients look for errors inside a stream only after the first event.",
        bad_stream,
    ),
)
