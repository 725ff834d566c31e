"""Files made by hand to take memory, time or trust: bombs, entities, depth without end, paths that lead out."""

import base64
import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping

from support.pdf_pages import pdf_of

LAUGHS = "<!DOCTYPE a [<!ENTITY l0 'ha'>" + "".join(
    f"<!ENTITY l{level} '{f'&l{level - 1};' * 10}'>" for level in range(1, 10)
)
QUADRATIC = f"<!DOCTYPE a [<!ENTITY x '{'x' * 50_000}'>]><a>{'&x;' * 20_000}</a>"
OUTSIDE = '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd"><!ENTITY n SYSTEM "http://127.0.0.1:9/x">]><a>&f;&n;</a>'
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
OFFICE_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
SHEETS = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{OFFICE}/relationships"'
DOCX_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
DOCX_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1"'
    ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"'
    ' Target="word/document.xml"/></Relationships>'
)
MIME = "From: a@b.example\nTo: c@d.example\nSubject: x\nDate: Tue, 04 Mar 2025 09:30:00 +0100\nMIME-Version: 1.0\n"


def zipped(members: Mapping[str, bytes | str], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def word(body: str, **more: bytes | str) -> bytes:
    document = body if body.startswith("<!DOCTYPE") else f"<w:document {WORD}><w:body>{body}</w:body></w:document>"
    parts = {"[Content_Types].xml": DOCX_TYPES, "_rels/.rels": DOCX_RELATIONS, "word/document.xml": document}
    return zipped({**parts, **more})


def sheet_of(rows: str) -> bytes:
    def related(kind: str, target: str) -> str:
        inner = f'<Relationship Id="r1" Type="{OFFICE}/relationships/{kind}" Target="{target}"/>'
        return f'<Relationships xmlns="{OFFICE_PACKAGE}/relationships">{inner}</Relationships>'

    book = f'<workbook {SHEETS}><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>'
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": related("officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": book,
            "xl/_rels/workbook.xml.rels": related("worksheet", "worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": f"<worksheet {SHEETS}><sheetData>{rows}</sheetData></worksheet>",
        }
    )


def lying_sizes() -> bytes:
    """Members say that they hold ten bytes, and hold fifty megabytes."""
    content = bytearray(word("<w:p/>", **{"word/media.xml": bytes(50_000_000)}))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = content.rfind(mark)
        content[place + at : place + at + 4] = struct.pack("<I", 10)
    return bytes(content)


def overlapping() -> bytes:
    """Every entry of the directory names the same member."""
    one = zipped({"word/document.xml": bytes(9_000_000)})
    start = one.index(b"PK\x01\x02")
    end = one.rindex(b"PK\x05\x06")
    entries = one[start:end] * 2_000
    tail = bytearray(one[end:])
    tail[8:12] = struct.pack("<HH", 2_000, 2_000)
    tail[12:16] = struct.pack("<I", len(entries))
    return one[:start] + entries + bytes(tail)


def deep_mail(levels: int) -> bytes:
    opened = "".join(f'Content-Type: multipart/mixed; boundary="b{level}"\n\n--b{level}\n' for level in range(levels))
    return f"{MIME}{opened}Content-Type: text/plain\n\nin here\n".encode()


def mail_in_mail(levels: int) -> bytes:
    return (f"{MIME}Content-Type: message/rfc822\n\n" * levels + f"{MIME}\nin here\n").encode()


def looping_pdf() -> bytes:
    return pdf_of([["text"]]).replace(b"/Kids [6 0 R] /Count 1", b"/Kids [2 0 R] /Count 9")


def calendar(entries: str) -> bytes:
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{entries}END:VCALENDAR\n".encode()


def event(more: str) -> str:
    return f"BEGIN:VEVENT\nUID:u\nSUMMARY:x\nDTSTART:20250304T160000Z\n{more}\nEND:VEVENT\n"


MADE: Mapping[str, Callable[[], bytes]] = {
    "empty.pdf": lambda: b"",
    "spaces.txt": lambda: b" \n" * 50_000,
    "zeros.txt": lambda: bytes(1_000_000),
    "bomb.docx": lambda: word("<w:p/>", **{"word/media.bin": bytes(100_000_000)}),
    "bomb-of-many.xlsx": lambda: zipped(
        {f"xl/{at}.xml": bytes(9_000_000) for at in range(45)} | {"xl/workbook.xml": ""}
    ),
    "bomb-in-bomb.docx": lambda: word("<w:p/>", **{"word/in.zip": zipped({"a": bytes(30_000_000)})}),
    "bomb-that-lies.docx": lying_sizes,
    "bomb-overlapping.docx": overlapping,
    "bomb-of-text.docx": lambda: word("<w:p><w:r><w:t>" + "word " * 10_000_000 + "</w:t></w:r></w:p>"),
    "twenty-thousand-members.pptx": lambda: zipped(
        {f"ppt/{at}": "" for at in range(20_000)} | {"ppt/presentation.xml": ""}
    ),
    "laughs.docx": lambda: word(f"{LAUGHS}]><a>&l9;</a>"),
    "laughs.xlsx": lambda: zipped({"xl/workbook.xml": f"{LAUGHS}]><a>&l9;</a>"}),
    "laughs.svg": lambda: f"<?xml version='1.0'?>{LAUGHS}]><svg>&l9;</svg>".encode(),
    "laughs.html": lambda: f"{LAUGHS}]><html><body>&l9;</body></html>".encode(),
    "quadratic.docx": lambda: word(QUADRATIC),
    "outside.docx": lambda: word(OUTSIDE),
    "outside.html": lambda: f"<html><body>{OUTSIDE}<link href='http://127.0.0.1:9/'><p>text</p></body></html>".encode(),
    "late-laughs.docx": lambda: word(f"<!--{'x' * 100_000}-->{LAUGHS}]><a>&l9;</a>"),
    "laughs-in-utf16.docx": lambda: word("<w:p/>", **{"word/styles.xml": f"{LAUGHS}]><a>&l9;</a>".encode("utf-16")}),
    "paths.docx": lambda: word("<w:p/>", **{"../../../../tmp/evil": b"x", "/etc/cron.d/evil": b"x"}),
    "paths-of-windows.xlsx": lambda: zipped({"xl/workbook.xml": "", "..\\..\\evil.dll": "", "C:\\evil": ""}),
    "parts-outside.docx": lambda: zipped(
        {
            "[Content_Types].xml": DOCX_TYPES,
            "_rels/.rels": DOCX_RELATIONS.replace("word/", "file:///etc/"),
            "word/document.xml": "",
        }
    ),
    "deep.docx": lambda: word("<w:sdt>" * 100_000 + "</w:sdt>" * 100_000),
    "deep-tables.docx": lambda: word("<w:tbl><w:tr><w:tc>" * 60 + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * 60),
    "far-cell.xlsx": lambda: sheet_of(
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    ),
    "many-rows.xlsx": lambda: sheet_of(
        "".join(f'<row r="{at}"><c r="A{at}"><v>1</v></c></row>' for at in range(1, 200_102))
    ),
    "no-sheet.xlsx": lambda: zipped({"xl/workbook.xml": "<workbook/>"}),
    "pages.pdf": lambda: pdf_of([[f"page {at} of very many"] for at in range(10_000)]),
    "too-many-pages.pdf": lambda: pdf_of([["x"]] * 25_000),
    "looping.pdf": looping_pdf,
    "scan.pdf": lambda: pdf_of([[]] * 3),
    "no-objects.pdf": lambda: b"%PDF-1.7\n" + b"%" * 100_000 + b"\n%%EOF",
    "long-page.pdf": lambda: pdf_of([["word " * 20] * 8_000]),
    "many-chapters.pdf": lambda: pdf_of([["x"]] * 20, chapters=dict.fromkeys(range(20), "c" * 5000)),
    "scripts.html": lambda: b"<html><body>" + b"<script>while(1);</script><p>text</p>" * 20_000 + b"</body></html>",
    "deep.html": lambda: b"<html><body>" + b"<div>" * 300_000 + b"text",
    "deep-inline.html": lambda: b"<html><body>" + b"<b><i>" * 100_000 + b"text",
    "attributes.html": lambda: b"<html><body><p " + b" ".join(b"a%d=b" % at for at in range(100_000)) + b">text</p>",
    "one-comment.html": lambda: b"<html><!--" + b"-" * 5_000_000,
    "unclosed-style.html": lambda: b"<html><body style='" + b"display:" * 500_000 + b"'>text",
    "comments.svg": lambda: b"<?xml version='1.0'?>" + b"<!-- -->" * 300_000 + b"<svg/>",
    "many-headings.html": lambda: b"<html><body>" + b"<h6>a</h6>" * 50_000,
    "deep.json": lambda: b"[" * 100_000 + b"]" * 100_000,
    "deep-chat.json": lambda: b'{"value":[{"createdDateTime":"x","body":' + b'{"a":' * 100_000 + b"1",
    "strange-chat.json": lambda: json.dumps(
        [
            {
                "id": [1],
                "createdDateTime": 5,
                "from": "x",
                "body": {"content": None},
                "replies": 4,
                "attachments": {"a": 1},
            }
        ]
    ).encode(),
    "numbers.json": lambda: b'{"n": ' + b"9" * 1_000_000 + b"}",
    "surrogates.json": lambda: b'["\\ud800 alone", "\\udfff"]' + b" " * 3_000,
    "attachments.eml": lambda: (
        f"{MIME}Content-Type: multipart/mixed; boundary=B\n\n".encode() + b"--B\n\nx\n" * 1_000_000
    ),
    "deep.eml": lambda: deep_mail(10_000),
    "deep-below-the-cap.eml": lambda: deep_mail(400),
    "mails-in-mails.eml": lambda: mail_in_mail(2_000),
    "endless-header.eml": lambda: MIME.encode() + b"X-Long: " + b"a b\n " * 1_000_000 + b"\n\ntext",
    "many-recipients.eml": lambda: MIME.replace("c@d.example", "a@b.example, " * 30_000).encode() + b"\ntext",
    "bad-encodings.eml": lambda: (
        MIME.encode() + b'Content-Type: text/plain; charset="idna"\nContent-Transfer-Encoding: base64\n\n====\xff\xfe'
    ),
    "encoded-words.eml": lambda: MIME.replace("x\n", "=?utf-8?b?" + "/" * 9_000 + "?=\n", 1).encode() + b"\ntext",
    "uuencoded.eml": lambda: MIME.encode() + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 ../../evil\nM\n",
    "paths.eml": lambda: (
        MIME.encode()
        + b'Content-Type: text/plain\nContent-Disposition: attachment; filename="../../../etc/cron.d/evil"\n\ntext'
    ),
    "bomb.eml": lambda: (
        MIME.encode()
        + b"Content-Type: application/zip; name=a.docx\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(word("<w:p/>", **{"word/media.bin": bytes(50_000_000)}))
    ),
    "garbage.mbox": lambda: b"From nobody Tue Mar  4 09:30:00 2025\nX: y\n\n\xff\xfe\x00 garbage\n\n" * 1_000,
    "nothing-but-from.mbox": lambda: b"From x 2025\n" * 300_000,
    "many-messages.mbox": lambda: b"From x 2025\nSubject: a\n\nb\n\n" * 25_000,
    "endless-rule.ics": lambda: calendar(event("RRULE:FREQ=SECONDLY;INTERVAL=1;COUNT=999999999999999999")),
    "bad-rule.ics": lambda: calendar(event("RRULE:FREQ=YEARLY;BYDAY=999999999MO;BYMONTHDAY=-400;INTERVAL=-7")),
    "many-events.ics": lambda: calendar(event("RRULE:FREQ=DAILY") * 5_000),
    "too-many-events.ics": lambda: calendar(event("") * 250_000),
    "deep.ics": lambda: b"BEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\n" * 50_000,
    "bad-dates.ics": lambda: calendar(event("DTEND:99999999T999999Z\nDURATION:P9999999999D\nDUE:0")),
    "folded.ics": lambda: calendar(event("DESCRIPTION:" + "x\n " * 300_000)),
    "many-guests.ics": lambda: calendar(event("ATTENDEE;CN=x:mailto:x@x.example\n" * 20_000)),
    "one-line.txt": lambda: b"x" * 5_000_000,
    "one-word-a-line.txt": lambda: b"x\n" * 1_500_000,
    "too-much.txt": lambda: b"text and more " * 2_500_000,
    "combining.txt": lambda: ("a" + "\u0301\u0316" * 500_000).encode(),
    "bad-utf8.txt": lambda: b"text \xc3\x28\xf0\x90\x28\xbc " * 50_000,
    "half-utf16.txt": lambda: b"\xff\xfe" + b"\x00\xd8" * 100_000,
    "nulls.md": lambda: b"# Title\x00\n" + b"te\x00xt " * 1_000,
    "headings.md": lambda: b"# a\n" * 150_000,
    "hashes.md": lambda: b"# " * 500_000,
    "fences.md": lambda: b"```\n" * 200_001,
    "nested-lists.md": lambda: b"".join(b" " * at + b"- a\n" for at in range(2_000)),
    "quotes.md": lambda: b">" * 1_000_000 + b" text",
    "brackets.md": lambda: b"[" * 200_000 + b"](x)",
    "emphasis.md": lambda: b"*a _b " * 200_000,
    "open-quote.csv": lambda: b'a,b\n1,"' + b"x,\n" * 1_000_000,
    "many-columns.csv": lambda: b",".join(b"c%d" % at for at in range(60_000)) + b"\n" + b"1," * 60_000,
    "long-field.csv": lambda: b"a,b\n1," + b"x" * 1_000_000,
    "formulas.csv": lambda: b"name,value\n=cmd|' /C calc'!A0,1\n@SUM(1),2\n",
    "picture.docx": lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100,
    "program.pdf": lambda: b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 100,
    "old.doc": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100_000),
    "old-broken.xls": lambda: (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "Workbook".encode("utf-16-le") + bytes(5_000)
    ),
}
