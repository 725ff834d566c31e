"""PDF files written by hand: lines of text on pages, with a title, an author and an outline; no library writes text."""

from collections.abc import Mapping, Sequence


def pdf_of(
    pages: Sequence[Sequence[str]], title: str = "", author: str = "", chapters: Mapping[int, str] | None = None
) -> bytes:
    """`chapters`: page from 0 to the title of the chapter that begins there. Letters of Western Europe only."""
    outline = sorted((chapters or {}).items())
    first_page, first_mark = 6, 6 + 2 * len(pages)
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R{' /Outlines 5 0 R' if outline else ''} >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{first_page + 2 * at} 0 R' for at in range(len(pages)))}]"
        f" /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< /Title ({_escaped(title)}) /Author ({_escaped(author)}) /CreationDate (D:20250115083000+01'00') >>",
        f"<< /Type /Outlines /First {first_mark} 0 R /Last {first_mark + len(outline) - 1} 0 R >>",
    ]
    for at, lines in enumerate(pages):
        shown = "".join(f"({_escaped(line)}) '\n" for line in lines)
        stream = f"BT /F1 11 Tf 14 TL 60 790 Td\n{shown}ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {first_page + 2 * at + 1} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream.encode('cp1252'))} >>\nstream\n{stream}\nendstream")
    for at, (page, chapter) in enumerate(outline):
        near = f" /Next {first_mark + at + 1} 0 R" if at + 1 < len(outline) else ""
        near += f" /Prev {first_mark + at - 1} 0 R" if at else ""
        objects.append(
            f"<< /Title ({_escaped(chapter)}) /Parent 5 0 R{near} /Dest [{first_page + 2 * page} 0 R /Fit] >>"
        )
    return _file_of(objects)


def _file_of(objects: Sequence[str]) -> bytes:
    written, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += f"{number} 0 obj\n{content}\nendobj\n".encode("cp1252")
    table = len(written)
    written += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    written += f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(written)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
