"""Personal data and secrets in a document: looked for in all of its text before it is kept, and rewritten so that every
chunk is still a part of the text at the place it names. Pure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from cluster.knowledge import Attribute
from cluster.pii.policy import Plan, refusal_of
from cluster.pii.rewriting import Naming, Rewritten, rewritten
from cluster.pii.spans import KINDS, Span
from rag.library.reading import Parsed, Problem
from rag.values import NewChunk

Look = Callable[[str], Sequence[Span]]
"""What is found in a text: patterns, and names where there is a model for them."""
PREFIX = "pii_"  # of the attributes that count what was found: `pii_email: 2`


def kept(parsed: Parsed, plan: Plan, look: Look, naming: Naming) -> Parsed | Problem:
    """The document as it may be kept, with attributes that count what was found; or why it may not be."""
    text = laid_out(parsed.chunks)
    said = [parsed.title, *(value for value in parsed.attributes.values() if isinstance(value, str))]
    said += dict.fromkeys(chunk.heading for chunk in parsed.chunks if chunk.heading)
    inside = plan.of_interest(look(text))
    others = {one: plan.of_interest(look(one)) for one in said if one}
    every = [*inside, *(span for spans in others.values() for span in spans)]
    why = refusal_of(plan, every)
    if why is not None:
        return Problem("invalid_file", f"{why}; take them out, or read it into a space that takes them", passing=False)
    if not every:
        return parsed
    told = {one: rewritten(one, spans, plan, naming).text for one, spans in others.items()}
    attributes: dict[str, Attribute] = {
        key: told.get(value, value) if isinstance(value, str) else value for key, value in parsed.attributes.items()
    }
    counts = Counter(span.kind for span in inside)
    attributes |= {f"{PREFIX}{kind}": float(counts[kind]) for kind in KINDS if counts[kind]}
    whole = rewritten(text, inside, plan, naming)
    chunks = tuple(_moved(parsed.chunks, whole, told))
    return replace(parsed, title=told.get(parsed.title, parsed.title), attributes=attributes, chunks=chunks)


def laid_out(chunks: Iterable[NewChunk]) -> str:
    """The text that the chunks are parts of, as far as they tell it: what lay between them was white space."""
    parts: list[str] = []
    length = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.start):
        gap = chunk.start - length
        if gap > 0:
            parts.append(" " if gap == 1 else "\n" * gap)
            length = chunk.start
        if chunk.end > length:
            parts.append(chunk.text[length - chunk.start :])
            length = chunk.end
    return "".join(parts)


def _moved(chunks: Iterable[NewChunk], whole: Rewritten, told: Mapping[str, str]) -> Iterable[NewChunk]:
    """A value over the end of one chunk and the beginning of the next is in the first; what holds nothing else goes."""
    for chunk in chunks:
        start, end = whole.place(chunk.start), whole.place(chunk.end)
        text = whole.text[start:end]
        if text.strip():
            heading = told.get(chunk.heading, chunk.heading)
            yield replace(chunk, text=text, start=start, end=end, heading=heading)
