"""Office files, pages of HTML and PDF: their text in order, under their headings, with nothing that is hidden."""

import io
import zipfile
from datetime import date, datetime, time

import docx
import pptx
import pytest
import xlsxwriter
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pptx.util import Inches

from rag.parsing.documents import parse
from rag.parsing.html import text_of
from rag.parsing.sheets import cell_text, column_name, header_of
from rag.parsing.values import CannotParseError
from support.pdf_pages import pdf_of

OASIS = "urn:oasis:names:tc:opendocument:xmlns"
SPACES = " ".join(f'xmlns:{name}="{OASIS}:{name}:1.0"' for name in ("office", "table", "text"))


def ods_row(*cells: str) -> str:
    inner = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in cells
    )
    return f"<table:table-row>{inner}</table:table-row>"


ODS = (
    f"<office:document-content {SPACES}><office:body><office:spreadsheet>"
    f'<table:table table:name="Rota">{ods_row("Day", "Nurse")}{ods_row("Monday", "Leila")}</table:table>'
    "</office:spreadsheet></office:body></office:document-content>"
)


def found(name: str, content: bytes) -> list[tuple[str, str, str]]:
    return [(str(block.locator), block.heading, block.text) for block in parse(name, content).blocks]


def test_pages_of_a_pdf_stand_under_their_chapters() -> None:
    pages = [["Cover (draft)"], ["First chapter.", "Its text."], ["", ""], ["Third page."]]
    content = pdf_of(pages, "A title", "Somebody", {1: "One", 3: "Two"})
    document = parse("a.pdf", content)

    assert found("a.pdf", content) == [
        ("page 1", "", "Cover (draft)"),
        ("page 2", "One", "First chapter.\nIts text."),
        ("page 4", "Two", "Third page."),
    ]
    assert document.title == "A title"
    assert document.attributes == {"author": "Somebody", "created": 1736926200.0, "pages": 4.0}


def test_a_pdf_without_text_may_be_a_scan_and_says_so() -> None:
    with pytest.raises(CannotParseError, match=r"scan\.pdf has no text in it. It may be a scan") as raised:
        parse("scan.pdf", pdf_of([[], []]))

    assert raised.value.code == "unsupported_file"


def test_a_pdf_that_is_cut_off_says_what_to_do() -> None:
    with pytest.raises(CannotParseError, match="damaged") as raised:
        parse("a.pdf", pdf_of([["text"]])[:60])

    assert raised.value.code == "invalid_file"


def test_inserted_text_is_read_and_deleted_text_is_not() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("The meeting is on ")
    paragraph._p.append(parse_xml(f"<w:del {nsdecls('w')}><w:r><w:delText>Monday</w:delText></w:r></w:del>"))
    paragraph._p.append(parse_xml(f"<w:ins {nsdecls('w')}><w:r><w:t>Tuesday</w:t></w:r></w:ins>"))
    written = io.BytesIO()
    document.save(written)

    assert found("a.docx", written.getvalue()) == [("", "", "The meeting is on Tuesday")]


def test_tables_of_a_document_read_row_by_row_and_headings_stack() -> None:
    document = docx.Document()
    document.add_heading("Rules", 0)
    document.add_heading("Trips", 1)
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("Who", "When", "Ana", "Monday"), strict=True):
        cell.text = text
    document.add_heading("Meals", 1)
    document.add_paragraph("At noon.")
    written = io.BytesIO()
    document.save(written)

    assert found("a.docx", written.getvalue()) == [
        ("", "Rules", "Rules"),
        ("", "Rules > Trips", "Trips"),
        ("", "Rules > Trips", "Who: Ana; When: Monday"),
        ("", "Rules > Meals", "Meals"),
        ("", "Rules > Meals", "At noon."),
    ]


def test_a_slide_gives_its_groups_tables_and_notes() -> None:
    shown = pptx.Presentation()
    slide = shown.slides.add_slide(shown.slide_layouts[5])
    assert slide.shapes.title is not None and slide.notes_slide.notes_text_frame is not None
    slide.shapes.title.text = "Rota"
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "in a group"
    table = slide.shapes.add_table(2, 2, 0, 0, Inches(2), Inches(2)).table
    for at, text in enumerate(("Day", "Nurse", "Monday", "Leila")):
        table.cell(at // 2, at % 2).text = text
    slide.notes_slide.notes_text_frame.text = "said aloud"
    written = io.BytesIO()
    shown.save(written)

    assert found("a.pptx", written.getvalue()) == [
        ("slide 1", "Rota", "Rota\nin a group\nDay: Monday; Nurse: Leila"),
        ("slide 1", "Rota", "said aloud"),
    ]


def test_a_row_is_found_by_its_first_filled_cell() -> None:
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written, {"in_memory": True})
    sheet = book.add_worksheet("Room list")
    sheet.write("C3", "All rooms")
    sheet.write_row("C5", ("Room", "Seats", "From"))
    sheet.write("D6", 24)
    sheet.write_datetime("E6", datetime(2025, 3, 4), book.add_format({"num_format": "yyyy-mm-dd"}))  # noqa: DTZ001
    book.add_worksheet("Secret").hide()
    book.close()

    assert found("a.xlsx", written.getvalue()) == [
        ("cell Room list!C3", "Room list > All rooms", "All rooms"),
        ("cell Room list!D6", "Room list > All rooms", "Seats: 24; From: 2025-03-04"),
    ]


def test_sheets_of_other_programs_are_read_alike() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", ODS)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")

    assert found("rota.ods", written.getvalue()) == [("cell Rota!A2", "Rota", "Day: Monday; Nurse: Leila")]


def test_cells_are_written_as_people_read_them() -> None:
    assert [column_name(column) for column in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]
    cells = (3.0, 0.1 + 0.2, True, datetime(2025, 3, 4), datetime(2025, 3, 4, 9, 5), time(9, 5), date(2025, 3, 4))  # noqa: DTZ001
    assert [cell_text(cell) for cell in cells] == [
        "3", "0.3", "yes", "2025-03-04", "2025-03-04 09:05", "09:05", "2025-03-04",
    ]  # fmt: skip


def test_rows_of_numbers_have_no_names_above_them() -> None:
    assert header_of([["Title", ""], ["a", "b"], ["1", "2"]]) == 1
    assert header_of([["1", "2"], ["3", "4"]]) is None
    assert header_of([["a", "a"], ["3", "4"]]) is None
    assert header_of([["a", "b"]]) is None


def test_a_page_of_html_gives_what_a_reader_sees() -> None:
    page = """<!doctype html><html><head><title> The  school </title><style>p{}</style></head><body>
      <script>document.write("no")</script><h1>School</h1><p>It opens at <b>8</b>:20.<br>And closes.</p>
      <p hidden>no</p><p style="visibility: hidden">no</p><span style="font-size:0px">no</span><!-- no -->
      <h3>Deep</h3><ul><li>one</li><li>two</li></ul><h2>Prices</h2>
      <table><tr><th>What</th><th>Price</th></tr><tr><td>Meal</td><td>5</td></tr></table></body></html>"""
    document = parse("a.html", page.encode())

    assert document.title == "The school"
    assert [(block.heading, block.text) for block in document.blocks] == [
        ("School", "School\n\nIt opens at 8:20.\nAnd closes."),
        ("School > Deep", "Deep\n\n- one\n- two"),
        ("School > Prices", "Prices\n\nWhat | Price\nMeal | 5"),
    ]


@pytest.mark.parametrize(
    ("markup", "text"),
    [("", ""), ("plain", "plain"), ("a < b & c", "a < b & c"), ("<p>open<p>ended", "open\n\nended"), ("<<>>", "<<>>")],
)
def test_fragments_are_read_as_browsers_do(markup: str, text: str) -> None:
    assert text_of(markup) == text


def test_html_in_an_old_encoding_is_read_by_what_it_says() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body>Peña</body></html>'

    assert found("a.html", page.encode("latin-1")) == [("", "", "Peña")]
