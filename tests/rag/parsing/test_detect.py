"""What a file is, is told by what is in it; what cannot be read is told with what to do instead."""

import io
import zipfile
from pathlib import Path

import pytest

from rag.parsing import archives
from rag.parsing.detect import Kind, kind_of
from rag.parsing.values import CannotParseError
from support.pdf_pages import pdf_of

CORPUS = Path(__file__).parent.parent.parent / "data" / "corpus"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)


def archive(**members: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
    return written.getvalue()


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("school/acta-claustro-marzo.docx", "docx"),
        ("school/science-fair.pptx", "pptx"),
        ("school/horario-tercero.xlsx", "sheets"),
        ("school/guia-familias.pdf", "pdf"),
        ("school/comedor.html", "html"),
        ("school/calendario.ics", "calendar"),
        ("school/excursion-2.eml", "mail"),
        ("clinic/ward.mbox", "mbox"),
        ("clinic/reception-chat.json", "teams"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".pdf", ".docx", ".bin", ".xlsx"])
def test_a_file_with_a_wrong_ending_is_what_it_is(file: str, kind: Kind, ending: str) -> None:
    assert kind_of(f"file{ending}", (CORPUS / file).read_bytes()) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.md", "markdown"), ("a.csv", "table"), ("a.tsv", "table"), ("a.eml", "mail"), ("a.mbox", "mbox"),
        ("a.txt", "text"), ("a", "text"), ("a.ics", "text"), ("a.json", "text"), ("a.html", "html"),
        ("A.MD", "markdown"),
    ],
)  # fmt: skip
def test_between_kinds_of_text_the_name_decides(name: str, kind: Kind) -> None:
    assert kind_of(name, b"one, two\nthree, four\n") == kind


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "a picture"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"{\\rtf1 text}", "Save it as DOCX"),
        (b"\x1f\x8b\x08" + bytes(64), "Unpack it"),
        (archive(a_txt=b"x"), "Unpack it"),
        (archive(mimetype=b"application/epub+zip"), "OpenDocument or e-book"),
        (OLE, "Office 97"),
        (OLE + "__substg1.0_0037".encode("utf-16-le"), "Save it as EML"),
        (bytes(range(1, 256)) * 9, "not text"),
    ],
)
def test_what_is_not_read_is_told_with_what_to_do(content: bytes, told: str) -> None:
    with pytest.raises(CannotParseError, match=told) as raised:
        kind_of("file.bin", content)

    assert raised.value.code == "unsupported_file"
    assert raised.value.message.startswith("file.bin is ")


def test_an_office_file_with_a_password_says_so() -> None:
    with pytest.raises(CannotParseError, match="needs a password") as raised:
        kind_of("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"))

    assert raised.value.code == "invalid_file"


def test_an_old_workbook_is_one_of_sheets() -> None:
    assert kind_of("a.xls", OLE + "Workbook".encode("utf-16-le")) == "sheets"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"word__document_xml": bytes(archives.MOST_RATIO * 120_000)}, "times its size"),
        ({"word__document_xml": b"<a/>", "..__..__evil": b""}, "is named '../../evil'"),
        ({"word__document_xml": b"<a/>", "__etc__passwd": b""}, "is named '/etc/passwd'"),
        ({"word__document_xml": b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'}, "declares entities"),
        ({"word__document_xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'.encode("utf-16")}, "declares entities"),
    ],
)
def test_an_archive_that_is_no_office_file_of_anybody_is_refused(members: dict[str, bytes], told: str) -> None:
    with pytest.raises(CannotParseError, match=told):
        kind_of("a.docx", archive(**members))


def test_an_archive_of_very_many_members_is_refused() -> None:
    with pytest.raises(CannotParseError, match="it has 10002 parts"):
        kind_of("a.docx", archive(word__document_xml=b"<a/>", **{f"m{at}": b"" for at in range(10_001)}))


def test_a_pdf_after_a_few_bytes_of_anything_is_one() -> None:
    assert kind_of("download", b"\r\n\r\n" + pdf_of([["text"]])) == "pdf"
