"""What kind of file something is: by its bytes, and by its name where bytes leave it open. Pure.

A file whose name ends wrongly is read as what it is. What cannot be read is told with what to do instead.
"""

import re
from posixpath import splitext
from typing import Literal

from rag.parsing.archives import members_of
from rag.parsing.encodings import decoded, is_text
from rag.parsing.values import CannotParseError

Kind = Literal[
    "pdf", "docx", "pptx", "sheets", "html", "markdown", "text", "table", "json", "mail", "mbox", "calendar", "teams"
]

_BY_ENDING: dict[str, Kind] = {
    ".md": "markdown", ".markdown": "markdown", ".csv": "table", ".tsv": "table", ".json": "json", ".eml": "mail",
    ".mbox": "mbox", ".ics": "calendar", ".htm": "html", ".html": "html", ".xhtml": "html",
}  # fmt: skip
_PICTURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*", b"BM", b"RIFF", b"\x00\x00\x00\x18ftyp",
    b"\x00\x00\x00\x20ftyp", b"ID3", b"OggS", b"fLaC",
)  # fmt: skip
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x28\xb5\x2f\xfd")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAIL_HEADER = re.compile(
    r"^(received|return-path|delivered-to|from|to|cc|subject|date|message-id|mime-version|content-type)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_HTML = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_CHAT = re.compile(r'"(createdDateTime|chatId|replyToId|messageType)"\s*:')
_LOOKED_AT = 16_384


def kind_of(name: str, content: bytes) -> Kind:
    """Raises CannotParseError where potluck reads no such files, or there is nothing to read."""
    if not content.strip(b"\x00\r\n\t ") or not content:
        raise CannotParseError("invalid_file", f"{name} is empty.")
    if b"%PDF-" in content[:1_024]:
        return "pdf"
    if content.startswith(b"PK"):
        return _office_kind(name, content)
    if content.startswith(_OLE):
        return _old_office_kind(name, content)
    if content.startswith(b"{\\rtf"):
        raise _unsupported(name, "rich text (RTF)", "Save it as DOCX")
    if content.startswith(_ARCHIVES):
        raise _unsupported(name, "an archive", "Unpack it, and add its files")
    if not is_text(content):
        picture = content.startswith(_PICTURES)
        raise _unsupported(name, "a picture, sound or film" if picture else "not text, nor any document that is known",
                           "Save it as PDF with text, an office file or plain text")  # fmt: skip
    return _text_kind(name, decoded(content[:_LOOKED_AT]))


def _unsupported(name: str, what: str, advice: str) -> CannotParseError:
    return CannotParseError("unsupported_file", f"{name} is {what}. {advice}, then add it again.")


def _office_kind(name: str, content: bytes) -> Kind:
    members = set(members_of(name, content))
    known: tuple[tuple[str, Kind], ...] = (
        ("word/document.xml", "docx"),
        ("ppt/presentation.xml", "pptx"),
        ("xl/workbook.xml", "sheets"),
        ("xl/workbook.bin", "sheets"),
    )
    for member, kind in known:
        if member in members:
            return kind
    if "mimetype" in members and b"opendocument.spreadsheet" in content[:200]:
        return "sheets"
    if "mimetype" in members:
        raise _unsupported(name, "an OpenDocument or e-book file", "Save it as DOCX, PPTX or PDF")
    raise _unsupported(name, "an archive", "Unpack it, and add its files")


def _old_office_kind(name: str, content: bytes) -> Kind:
    """By the names of its streams, which are UTF-16."""
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise CannotParseError("invalid_file", f"{name} needs a password. Save it without one, then add it again.")
    if any(stream.encode("utf-16-le") in content for stream in ("Workbook", "Book\x00")):
        return "sheets"
    if "__substg1.0".encode("utf-16-le") in content:
        raise _unsupported(name, "a mail as Outlook keeps it (MSG)", "Save it as EML")
    raise _unsupported(name, "a document of Office 97", "Save it as DOCX, PPTX or XLSX")


def _text_kind(name: str, start: str) -> Kind:
    """What its first lines are comes first; what its name says decides between kinds of text."""
    ending = splitext(name.lower())[1]
    begun = start.lstrip("\ufeff \t\r\n")
    if begun[:15].upper() == "BEGIN:VCALENDAR":
        return "calendar"
    element = _first_element(begun)
    if element[:4].lower() == "<svg":
        raise _unsupported(name, "a picture (SVG)", "Save it as PDF with text")
    if _HTML.match(element):
        return "html"
    if begun[:1] in "[{" and ending not in (".md", ".markdown", ".txt"):
        return "teams" if _CHAT.search(begun) and '"body"' in start else "json"
    if ending == ".mbox" or re.match(r"From \S+ .{0,100}\d{4}", begun):
        return "mbox"
    if ending == ".eml" or _is_mail(begun):
        return "mail"
    told = _BY_ENDING.get(ending, "text")
    return "text" if told in ("json", "calendar") else told


def _first_element(start: str) -> str:
    """What stands behind declarations and comments; "" where one of them does not end."""
    ends = (("<!--", "-->"), ("<?", "?>"), ("<!doctype", ">"))
    while not _HTML.match(start):
        end = next((end for begin, end in ends if start[:9].lower().startswith(begin)), None)
        if end is None:
            return start
        declared = start.partition(end)[0]
        end = "]>" if end == ">" and "[" in declared else end  # with entities of its own
        start = start.partition(end)[2].lstrip()
    return start


def _is_mail(start: str) -> bool:
    """Headers, and nothing before them; one that only mails have among them."""
    head = re.split(r"\r?\n\r?\n", start, maxsplit=1)[0]
    found = {header.lower() for header in _MAIL_HEADER.findall(head)}
    return (
        bool(_MAIL_HEADER.match(start))
        and len(found) >= 3
        and bool(found & {"message-id", "mime-version", "received", "date"})
    )
