"""An input file of a batch: one JSON object a line, each with a name of its own and the body of a request."""

from collections.abc import Iterable

import msgspec

from router.batches.values import LineSpan, Problem

MOST_LINES = 50_000
MOST_PROBLEMS = 50  # told of one file
LONGEST_NAME = 256


class _Body(msgspec.Struct):
    model: str


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


_lines = msgspec.json.Decoder(_Line)
_bodies = msgspec.json.Decoder(_Body)


def read_lines(lines: Iterable[bytes], endpoint: str, body_limit_bytes: int) -> tuple[list[LineSpan], list[Problem]]:
    """Its requests, or all that is wrong with it, each with its line. Empty lines mean nothing."""
    found: list[LineSpan] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    offset = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text:
            span = _span(number, line, offset, endpoint, body_limit_bytes)
            if isinstance(span, LineSpan):
                span = _unlike(span._replace(at=len(found)), number, seen)
            if isinstance(span, LineSpan):
                found.append(span)
            else:
                problems.append(span)
        offset += len(line)
        if len(found) > MOST_LINES:
            problems.append(Problem("too_many_requests", f"more than {MOST_LINES:,} requests; make several batches"))
        if len(problems) >= MOST_PROBLEMS or len(found) > MOST_LINES:
            break
    if not found and not problems:
        problems.append(Problem("empty_file", "the file has no request"))
    return found, problems


def _span(number: int, line: bytes, offset: int, endpoint: str, limit_bytes: int) -> LineSpan | Problem:
    try:
        read = _lines.decode(line)
        model = _bodies.decode(read.body).model
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Problem("invalid_json_line", f"line {number} is no request: {error}", number)
    if not 0 < len(read.custom_id) <= LONGEST_NAME:
        return Problem("invalid_custom_id", f"`custom_id` has 1 to {LONGEST_NAME} characters", number, "custom_id")
    if read.method != "POST":
        return Problem("invalid_method", f"`method` is POST, not `{read.method[:20]}`", number, "method")
    if read.url != endpoint:
        return Problem("invalid_url", f"`url` is not the batch's `{endpoint}`", number, "url")
    body = bytes(read.body)
    if len(body) > limit_bytes:
        return Problem("too_large", f"a body of more than {limit_bytes:,} bytes", number, "body")
    return LineSpan(0, read.custom_id, model, offset + line.index(body), len(body))


def _unlike(span: LineSpan, number: int, seen: dict[str, int]) -> LineSpan | Problem:
    first = seen.setdefault(span.custom_id, number)
    if first == number:
        return span
    return Problem("duplicate_custom_id", f"`custom_id` is also that of line {first}", number, "custom_id")
