"""HTML: what a reader of the page sees, under its headings. Scripts, styles and hidden things are left out. Pure."""

import re
from collections.abc import Iterator

from lxml import etree

from rag.chunking import Block
from rag.parsing.clean import clean_text, one_line
from rag.parsing.encodings import decoded
from rag.parsing.values import CannotParseError, ParsedDocument, present

_LEFT_OUT = frozenset(
    (
        *("script", "style", "template", "noscript", "head"),
        *("svg", "math", "iframe", "object", "embed", "canvas", "audio", "video", "map"),
        *("nav", "button", "select", "datalist", "input", "textarea", "dialog"),
    )
)
_APART = frozenset(
    (
        *("p", "div", "section", "article", "main", "header", "footer", "aside", "address", "center", "body", "html"),
        *("ul", "ol", "dl", "dt", "dd", "table", "tbody", "thead", "tfoot", "caption", "blockquote", "pre", "hr"),
        *("figure", "figcaption", "form", "fieldset", "details", "summary"),
    )
)
_LINES = {"br": "\n", "li": "\n- "}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])", re.IGNORECASE
)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w-]{2,40})", re.IGNORECASE)
_LONG_TAG = re.compile(r"<[a-zA-Z][^<>]{20000,}")
MOST_ATTRIBUTES = 1_000  # of an element: libxml2 compares each with each
_SPACES = re.compile(r"[ \t\r\n\f]+")


def read(name: str, content: bytes) -> ParsedDocument:
    told = _CHARSET.search(content[:4_096])
    tree = _tree(name, decoded(content, told.group(1).decode("ascii", "ignore") if told else None))
    if tree is None:
        raise CannotParseError("invalid_file", f"{name} holds no element of HTML. Save the page again.")
    title = one_line(next((found.text for found in tree.iter("title")), None))
    attributes = present(author=_meta(tree, "author"), description=_meta(tree, "description"))
    return ParsedDocument(title, "text/html", tuple(_blocks(tree)), attributes)


def text_of(markup: str) -> str:
    """Of a fragment, as mails and chats have it."""
    tree = _tree("The HTML of a message", markup)
    return "\n\n".join(block.text for block in _blocks(tree)) if tree is not None else ""


def _tree(name: str, markup: str) -> etree._Element | None:
    if any(len(found.group().split()) > MOST_ATTRIBUTES for found in _LONG_TAG.finditer(markup)):
        raise CannotParseError(
            "invalid_file", f"{name} has an element with more than {MOST_ATTRIBUTES} attributes. Save it again."
        )
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    content = markup.replace("\x00", "").encode("utf-8", "replace")
    try:
        tree: etree._Element | None = etree.fromstring(content, parser) if content.strip() else None
    except etree.XMLSyntaxError:
        return None
    return tree


def _meta(tree: etree._Element, name: str) -> str | None:
    return next(
        (found.get("content") for found in tree.iter("meta") if (found.get("name") or "").lower() == name), None
    )


def _blocks(tree: etree._Element) -> Iterator[Block]:
    """Events of the tree, not recursion: a page may be nested as deep as it likes."""
    above: list[str] = []
    parts: list[str] = []
    for kind, element in _seen(tree):
        level = _HEADINGS.get(element.tag) if isinstance(element.tag, str) else None
        if level is not None and kind == "start":
            yield _block(parts, above)
            parts = _inline(element.text)
        elif level is not None and kind == "end":
            heading = one_line("".join(parts), 160)
            padded = above + [""] * level
            above = [*padded[: level - 1], heading]
            parts = [heading, "\n"] if heading else []
            parts += _inline(element.tail)
        else:
            parts += _told(kind, element)
    yield _block(parts, above)


def _block(parts: list[str], above: list[str]) -> Block:
    lines = (" ".join(line.split(" ")).strip() for line in "".join(parts).split("\n"))
    return Block(clean_text("\n".join(lines)), heading=" > ".join(title for title in above if title))


def _seen(tree: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    walk = etree.iterwalk(tree, events=("start", "end"))
    hidden: etree._Element | None = None
    for kind, element in walk:
        if hidden is not None:
            if kind == "end" and element is hidden:
                hidden = None
                yield "tail", element
            continue
        if kind == "start" and _is_hidden(element):
            hidden = element
            walk.skip_subtree()
            continue
        yield kind, element


def _is_hidden(element: etree._Element) -> bool:
    if not isinstance(element.tag, str) or element.tag in _LEFT_OUT or element.get("hidden") is not None:
        return True
    return element.get("aria-hidden") == "true" or bool(_HIDDEN_STYLE.search(element.get("style") or ""))


def _told(kind: str, element: etree._Element) -> list[str]:
    """What an event adds to the text. Cells of a row stand on one line."""
    if kind == "tail":
        return _inline(element.tail)
    tag = element.tag
    if kind == "start":
        before = "\n\n" if tag in _APART else "\n" if tag == "tr" else _LINES.get(tag, "")
        return [before, *_inline(element.text)]
    after = "\n\n" if tag in _APART else " | " if tag in ("td", "th") and element.getnext() is not None else ""
    return [after, *_inline(element.tail)]


def _inline(text: str | None) -> list[str]:
    return [_SPACES.sub(" ", text)] if text else []
