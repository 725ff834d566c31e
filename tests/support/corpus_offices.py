"""The corpus' office files: a timetable, minutes and slides, made with the libraries that write such files."""

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import docx
import pptx
import xlsxwriter
from docx.oxml import OxmlElement

TIMES = ("08:30", "09:25", "10:20", "11:45", "12:40")
LESSONS = {
    "3A": (
        ("Matemáticas", "Lengua", "Inglés", "Matemáticas", "Lengua"),
        ("Lengua", "Matemáticas", "Lengua", "Inglés", "Matemáticas"),
        ("Inglés", "Ciencias", "Matemáticas", "Lengua", "Música"),
        ("Ciencias", "Educación física", "Plástica", "Ciencias", "Educación física"),
        ("Tutoría", "Inglés", "Ciencias", "Biblioteca", "Valores"),
    ),
    "3B": (
        ("Lengua", "Matemáticas", "Lengua", "Inglés", "Matemáticas"),
        ("Matemáticas", "Inglés", "Ciencias", "Lengua", "Lengua"),
        ("Música", "Lengua", "Inglés", "Matemáticas", "Ciencias"),
        ("Plástica", "Ciencias", "Educación física", "Educación física", "Inglés"),
        ("Biblioteca", "Valores", "Matemáticas", "Tutoría", "Huerto escolar"),
    ),
}
ROOMS = (
    ("Aula", "Planta", "Plazas", "Proyector", "Responsable"),
    ("Laboratorio", 2, 24, True, "Nuria Campos"),
    ("Biblioteca", 1, 40, False, "Óscar Vidal"),
    ("Aula de música", 0, 28, True, "Irene Soto"),
    ("Gimnasio", 0, 90, False, "Pablo Reyes"),
)


def timetable() -> bytes:
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written, {"in_memory": True})
    book.set_properties({"created": datetime(2025, 1, 15, 8, 30, tzinfo=UTC).replace(tzinfo=None)})
    for group, rows in LESSONS.items():
        sheet = book.add_worksheet(f"Horario {group}")
        sheet.write("B2", f"Horario de 3.º {group[1]}, curso 2024-2025")
        sheet.write_row("B4", ("Hora", "Lunes", "Martes", "Miércoles", "Jueves", "Viernes"))
        for at, (begins, lessons) in enumerate(zip(TIMES, rows, strict=True)):
            sheet.write_row(4 + at, 1, (begins, *lessons))
    rooms = book.add_worksheet("Aulas")
    for at, row in enumerate(ROOMS):
        rooms.write_row(at, 0, row)
    hidden = book.add_worksheet("Notas internas")
    hidden.write("A1", "borrador que nadie debe encontrar")
    hidden.hide()
    book.close()
    return written.getvalue()


def minutes() -> bytes:
    document = docx.Document()
    told = document.core_properties
    told.title, told.author, told.subject = "Acta del claustro de marzo", "Irene Soto", "Claustro ordinario"
    told.created = datetime(2025, 3, 5, 10, 0, tzinfo=UTC)
    document.add_heading("Acta del claustro de marzo", 0)
    document.add_paragraph(
        "Reunidos en la sala de profesores del colegio Los Almendros el martes 4 de marzo de 2025 a las 16:00, con la"
        " asistencia de veintitrés de los veintiséis miembros, se trataron los puntos siguientes."
    )
    document.add_heading("Comedor escolar", 1)
    document.add_paragraph(
        "Se acuerda adelantar el segundo turno de comedor a las 14:10 para que los alumnos de cuarto lleguen a tiempo a"
        " los talleres. El cambio entra en vigor el lunes 17 de marzo."
    )
    document.add_heading("Presupuesto de la biblioteca", 1)
    document.add_paragraph(
        "El claustro aprueba por unanimidad destinar 1.850 euros a la compra de libros en formato de lectura fácil."
        " Óscar Vidal presentará la lista de títulos antes de Semana Santa."
    )
    second = document.add_heading("Salidas y excursiones", 1)
    second.runs[0]._r.insert(0, OxmlElement("w:lastRenderedPageBreak"))
    document.add_paragraph(
        "La salida al jardín botánico de tercero pasa del 27 de marzo al 3 de abril porque el autobús no estaba"
        " disponible. La empresa de transporte es Autocares Peñalara."
    )
    table = document.add_table(1, 3)
    for cell, text in zip(table.rows[0].cells, ("Tarea", "Responsable", "Plazo"), strict=True):
        cell.text = text
    for row in (
        ("Avisar a las familias del nuevo turno", "Irene Soto", "10 de marzo"),
        ("Reservar el autobús del jardín botánico", "Pablo Reyes", "14 de marzo"),
        ("Revisar los extintores del gimnasio", "Nuria Campos", "28 de marzo"),
    ):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.add_paragraph("Sin más asuntos que tratar, se levanta la sesión a las 17:35.")
    return _saved(document.save)


SLIDES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("Science fair 2025", ("Los Almendros school", "Everyone from year 3 to year 6"), "Welcome the families first."),
    (
        "What we need from you",
        ("One project per team of four", "A poster no larger than 90 by 120 cm", "Hand in titles by 9 May"),
        "If somebody asks: teams of three are fine, teams of five are not.",
    ),
    (
        "The day itself",
        ("Friday 30 May, from 16:30 to 19:00", "Gymnasium and inner courtyard", "Juice and fruit at 18:00"),
        "The courtyard closes at 19:15 because the alarm is set by then. Nuria has the key.",
    ),
    (
        "Jury and prizes",
        ("Three jurors from the university", "First prize: a visit to the planetarium"),
        "The name of the third juror is confirmed on 20 May.",
    ),
)


def slides() -> bytes:
    shown = pptx.Presentation()
    told = shown.core_properties
    told.title, told.author, told.created = (
        "Science fair briefing",
        "Nuria Campos",
        datetime(2025, 4, 2, 9, 0, tzinfo=UTC),
    )
    for title, points, notes in SLIDES:
        slide = shown.slides.add_slide(shown.slide_layouts[1])
        assert slide.shapes.title is not None and slide.notes_slide.notes_text_frame is not None
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(points)
        slide.notes_slide.notes_text_frame.text = notes
    return _saved(shown.save)


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    written = io.BytesIO()
    save(written)
    return written.getvalue()


OFFICE_FILES: Mapping[str, Callable[[], bytes]] = {
    "school/horario-tercero.xlsx": timetable,
    "school/acta-claustro-marzo.docx": minutes,
    "school/science-fair.pptx": slides,
}
