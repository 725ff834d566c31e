"""A file's name and bytes in, a parsed document out, whatever kind of file it is. Pure.

Run it where it is bounded (rag.parsing.job): a library may take memory and time without end over a hostile file.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import cast

from rag.parsing.clean import one_line
from rag.parsing.detect import Kind, kind_of
from rag.parsing.language import language_of
from rag.parsing.values import MOST_BYTES, CannotParseError, ParsedDocument, checked

MOST_INSIDE = 200  # files within a file, together
MOST_DEPTH = 3

_READERS: Mapping[Kind, tuple[str, str]] = {
    "pdf": ("pdf", "read"),
    "docx": ("docx", "read"),
    "pptx": ("pptx", "read"),
    "sheets": ("sheets", "read"),
    "html": ("html", "read"),
    "markdown": ("text", "read_markdown"),
    "text": ("text", "read_text"),
    "table": ("text", "read_table"),
    "json": ("text", "read_json"),
    "calendar": ("calendar", "read"),
    "teams": ("teams", "read"),
}
_MAIL_READERS: Mapping[Kind, str] = {"mail": "read", "mbox": "read_mailbox"}
_LANGUAGE_FROM = 16_000  # characters that are looked at for the language


def parse(name: str, content: bytes) -> ParsedDocument:
    """Raises CannotParseError, which says what is wrong with the file and what to do next."""
    name = one_line(name, 255) or "file"
    document = _Nest().parse(name, content)
    language = language_of(_beginning(document))
    return replace(document, title=document.title or name, language=language)


class _Nest:
    """Counts files within files, over the whole of what the outermost one holds."""

    def __init__(self) -> None:
        self._depth = 0
        self._left = MOST_INSIDE

    def parse(self, name: str, content: bytes) -> ParsedDocument:
        if len(content) > MOST_BYTES:
            raise CannotParseError(
                "invalid_file",
                f"{name} is too large: {len(content) / 1e6:.0f} MB; at most {MOST_BYTES // 1_000_000} MB are read."
                " Split it.",
            )
        kind = kind_of(name, content)
        if kind in _MAIL_READERS:
            read_mail = getattr(import_module("rag.parsing.mail"), _MAIL_READERS[kind])
            return checked(read_mail(name, content, self._inside), name)
        module, function = _READERS[kind]  # a library is loaded when the first file needs it
        read = cast(Callable[[str, bytes], ParsedDocument], getattr(import_module(f"rag.parsing.{module}"), function))
        return checked(read(name, content), name)

    def _inside(self, name: str, content: bytes) -> ParsedDocument:
        self._left -= 1
        if self._depth >= MOST_DEPTH or self._left < 0:
            raise CannotParseError("invalid_file", f"{name} lies too deep, or among too many files, to be read.")
        self._depth += 1
        try:
            return self.parse(name, content)
        finally:
            self._depth -= 1


def _beginning(document: ParsedDocument) -> str:
    parts, length = [], 0
    for block in document.blocks:
        parts.append(block.text[:_LANGUAGE_FROM])
        length += len(parts[-1])
        if length > _LANGUAGE_FROM:
            break
    return "\n".join(parts)
