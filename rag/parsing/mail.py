"""Mails (.eml) and mailboxes (.mbox): each message by its Message-ID, its new words, and what is attached. Pure."""

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage, Message
from email.policy import default
from email.utils import parsedate_to_datetime

from cluster.knowledge import Attribute, Locator
from rag.chunking import Block
from rag.parsing.clean import clean_text, one_line
from rag.parsing.encodings import decoded
from rag.parsing.html import text_of
from rag.parsing.mail_text import new_words
from rag.parsing.values import CannotParseError, ParsedDocument, ParseInner, present

MOST_MESSAGES = 20_000  # of a mailbox
MOST_PARTS = 500  # of a message
MOST_DEPTH = 20
_NAMELESS = {"message/rfc822": "message.eml", "text/calendar": "invitation.ics"}
_BOUNDARY = re.compile(rb"boundary\s*=\s*\"?([^\";\r\n]{1,200})", re.IGNORECASE)
_DASHES = re.compile(rb"^--([^\r\n]{1,200})", re.MULTILINE)
_LONGEST_HEADER = 8_000  # characters that are looked at: taking addresses apart is slow
_FROM_LINE = re.compile(rb"^From [^\n]{1,300}\d{4}[^\n]{0,10}\n(?=>?[A-Za-z-]{1,70}:)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Letter:
    message_id: str
    subject: str
    attributes: dict[str, Attribute]
    blocks: tuple[Block, ...]


def read(name: str, content: bytes, inner: ParseInner) -> ParsedDocument:
    letter = _letter(name, content, inner, "")
    return ParsedDocument(letter.subject, "message/rfc822", letter.blocks, letter.attributes)


def read_mailbox(name: str, content: bytes, inner: ParseInner) -> ParsedDocument:
    """A message that cannot be read is left out, unless none can."""
    blocks: list[Block] = []
    problem: CannotParseError | None = None
    messages = _messages(content)
    if len(messages) > MOST_MESSAGES:
        raise CannotParseError(
            "invalid_file", f"{name} holds more than {MOST_MESSAGES} messages. Split it into several mailboxes."
        )
    for count, (start, end) in enumerate(messages, 1):
        message = re.sub(rb"^>(>*From )", rb"\1", content[start:end], flags=re.MULTILINE)
        try:
            blocks += _letter(f"message {count} of {name}", message, inner, str(count)).blocks
        except CannotParseError as error:
            problem = problem or error
    if problem is not None and not blocks:
        raise problem
    return ParsedDocument("", "application/mbox", tuple(blocks), {"messages": float(len(messages))})


def _messages(content: bytes) -> list[tuple[int, int]]:
    """Between lines that begin with "From ": at the start, or after an empty line; with a year, and headers below:
    some programs leave sentences that begin so as they are."""
    lines = [
        found
        for found in _FROM_LINE.finditer(content)
        if found.start() == 0 or content[max(0, found.start() - 4) : found.start()].endswith((b"\n\n", b"\n\r\n"))
    ]
    ends = [line.start() for line in lines[1:]] + [len(content)]
    return [(line.end(), end) for line, end in zip(lines, ends, strict=False)]


def _letter(name: str, content: bytes, inner: ParseInner, fallback_id: str) -> _Letter:
    _check_parts(name, content)
    try:
        message = email.message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        subject = _header(message, "Subject")
        message_id = _header(message, "Message-ID").strip("<>") or fallback_id
        attributes = _attributes(message)
        place = Locator("message", message_id)
        blocks = tuple(_blocks(message, subject, place, inner))
    except RecursionError as error:
        raise CannotParseError("invalid_file", f"{name} is nested too deeply to be read as a mail.") from error
    except (MessageError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CannotParseError(
            "invalid_file", f"{name} is damaged: it cannot be read as a mail ({one_line(str(error))}). Export it again."
        ) from error
    return _Letter(message_id, subject, attributes, blocks)


def _check_parts(name: str, content: bytes) -> None:
    """Before the parser sees it: every part costs it memory, and every level of nesting a frame of its stack."""
    boundaries = {found.group(1).strip() for found in _BOUNDARY.finditer(content)}
    parts = sum(found.group(1).strip() in boundaries for found in _DASHES.finditer(content))
    if max(parts, len(boundaries)) > MOST_PARTS:
        raise CannotParseError(
            "invalid_file",
            f"{name} has {max(parts, len(boundaries))} parts; at most {MOST_PARTS} are read. Save what matters of it"
            " as files.",
        )


def _header(message: EmailMessage, name: str) -> str:
    """A header that is damaged says nothing."""
    raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    try:
        return one_line(str(default.header_fetch_parse(name, raw[:_LONGEST_HEADER])), 512)
    except (ValueError, LookupError, TypeError, AttributeError, MessageError):
        return ""


def _attributes(message: EmailMessage) -> dict[str, Attribute]:
    sent = None
    try:
        sent = parsedate_to_datetime(_header(message, "Date")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        sent = None
    people = {"from_": _header(message, "From"), "to": _header(message, "To"), "cc": _header(message, "Cc")}
    return present(**people, subject=_header(message, "Subject"), sent=sent)


def _blocks(message: EmailMessage, subject: str, place: Locator, inner: ParseInner) -> Iterator[Block]:
    told = [(label, _header(message, label)) for label in ("From", "To", "Date")]
    opening = "\n".join(f"{label}: {value}" for label, value in told if value)
    body, attached = "", list[tuple[str, bytes]]()
    for part in _leaves(message):
        kind, filename = part.get_content_type(), one_line(part.get_filename() or "")
        if filename or part.get_content_disposition() == "attachment" or not kind.startswith("text/"):
            attached.append((filename or _NAMELESS.get(kind, "attachment"), _bytes_of(part)))
        elif not body or kind == "text/plain":
            text = decoded(_bytes_of(part), part.get_content_charset())
            body += "\n\n" + (text_of(text) if kind == "text/html" else text)
    yield Block(f"{opening}\n\n{new_words(body, subject)}" if body.strip() else opening, place, subject)
    for filename, content in attached:
        yield from _attachment(filename, content, (subject, place), inner)


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    """Parts with content of their own; of alternatives the plainest. Attached mails count as one part each."""
    ahead: list[tuple[Message, int]] = [(message, 0)]
    while ahead:
        part, depth = ahead.pop()
        if not isinstance(part, EmailMessage):
            continue
        if depth > MOST_DEPTH:
            raise RecursionError
        if part.get_content_type() == "multipart/alternative":
            inside = [one for one in part.iter_parts() if isinstance(one, EmailMessage)]
            plain = [one for one in inside if one.get_content_type() == "text/plain" and _bytes_of(one).strip()]
            ahead.extend((one, depth + 1) for one in reversed(plain[:1] or inside[-1:]))
        elif part.get_content_maintype() == "multipart":
            ahead.extend((one, depth + 1) for one in reversed(list(part.iter_parts())))
        else:
            yield part


def _bytes_of(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822":
        return b"".join(bytes(one) for one in part.iter_parts())
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _attachment(filename: str, content: bytes, of: tuple[str, Locator], inner: ParseInner) -> Iterator[Block]:
    """Where it cannot be read, its name is still worth finding."""
    subject, place = of
    name = filename.replace("\\", "/").rsplit("/", 1)[-1] or "attachment"
    heading = f"{subject} > {name}" if subject else name
    try:
        document = inner(name, content)
    except CannotParseError:
        yield Block(f"Attached: {name}", place, subject)
        return
    for block in document.blocks:
        where = " > ".join(told for told in (heading, block.heading, str(block.locator)) if told)
        yield Block(clean_text(block.text), place, where)
