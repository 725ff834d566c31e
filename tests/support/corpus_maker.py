"""Makes tests/data/corpus anew: small files of a school and a clinic that do not exist, of every kind that is parsed.

    python tests/support/corpus_maker.py tests/data/corpus

The text files of the corpus are kept as they are; this writes those that a program must write.
"""

import sys
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from support.corpus_offices import OFFICE_FILES
from support.pdf_pages import pdf_of

FAMILIES = [
    [
        "Colegio Los Almendros",
        "Guía para las familias, curso 2024-2025",
        "",
        "Esta guía reúne lo que más nos preguntan en secretaría. Si no",
        "encuentra su respuesta, escriba a secretaria@almendros.example o",
        "llame al 600 000 111 de 9:00 a 11:00.",
    ],
    [
        "Entradas y salidas",
        "",
        "Las puertas se abren a las 8:20 y se cierran a las 8:35. Quien llegue",
        "más tarde entra por secretaría y firma el libro de retrasos. Tres re-",
        "trasos en un mes se comunican al tutor.",
        "Los alumnos de primero y segundo salen por la puerta de la calle del",
        "Olmo; los demás, por la puerta principal.",
    ],
    [
        "Comedor",
        "",
        "El menú cuesta 5,20 euros al día y se abona en los cinco primeros días",
        "de cada mes. Las alergias se acreditan con informe médico.",
        "Para cancelar la comida de un día hay que avisar antes de las 9:15 en",
        "el teléfono 600 000 112. Sin aviso, el día se cobra.",
    ],
    [
        "Salud y medicación",
        "",
        "El colegio no administra medicamentos sin autorización firmada y copia",
        "de la receta. Los piojos se tratan en casa y el niño puede volver al",
        "día siguiente del tratamiento.",
        "En caso de fiebre superior a 38 grados llamamos a la familia, que debe",
        "recoger al alumno en un plazo de 45 minutos.",
    ],
]
HANDBOOK = [
    [
        "Riverside Clinic",
        "Patient handbook, edition of February 2025",
        "",
        "This handbook tells you how to reach us, what to bring, and what",
        "happens after your visit.",
    ],
    [
        "Appointments",
        "",
        "Routine appointments are given within ten working days. To cancel one,",
        "call 555 0100 at least 24 hours before, or a fee of 15 pounds is due.",
        "Bring your health card, a list of the medicines you take, and the let-",
        "ter of your doctor if you have one.",
    ],
    [
        "Blood tests",
        "",
        "Blood is drawn from Monday to Thursday between 7:45 and 9:30 in room",
        "B14 on the first floor. Do not eat or drink anything but water for",
        "eight hours before. Results are ready after two working days.",
    ],
    [
        "Vaccinations",
        "",
        "The travel clinic opens on the first Wednesday of each month. Yellow",
        "fever vaccine must be ordered three weeks ahead. The fridge log is",
        "checked by the duty nurse at 8:00 and at 20:00.",
    ],
    [
        "Complaints",
        "",
        "Write to the quality office. You receive an acknowledgement within",
        "three working days and an answer within thirty.",
    ],
]
THREAD = (
    (
        "excursion-1.eml",
        "Pablo Reyes <pablo.reyes@almendros.example>",
        "Autobús para el jardín botánico",
        "Mon, 10 Mar 2025 11:05:00 +0100",
        "Hola, Marta:\n\nNecesitamos un autobús de 55 plazas para el 3 de abril. Salida a las 9:00 desde la puerta"
        " principal y vuelta a las 14:30.\n\nUn saludo,\nPablo\n",
    ),
    (
        "excursion-2.eml",
        "Marta Peña <reservas@penalara.example>",
        "Re: Autobús para el jardín botánico",
        "Tue, 11 Mar 2025 08:42:00 +0100",
        "Buenos días, Pablo:\n\nConfirmado: el presupuesto es de 412 euros, IVA incluido, y la conductora será Elena."
        " Adjunto las condiciones.\n\nMarta\n\nEl lun, 10 mar 2025 a las 11:05, Pablo Reyes\n"
        "<pablo.reyes@almendros.example> escribió:\n> Necesitamos un autobús de 55 plazas para el 3 de abril.\n",
    ),
)
CONDITIONS = (
    "Condiciones de reserva de Autocares Peñalara\n\nLa anulación es gratuita hasta 72 horas antes de la salida."
    " Después se cobra el 40 por ciento del precio.\n"
)
MAILBOX = (
    ("Duty roster for April", "Grace Holt", "The night of 12 April is covered by Dr Amin, not by Dr Lowe."),
    ("Fridge alarm", "Tom Barker", "The vaccine fridge in B12 reached 9.4 degrees at 03:20. I moved the stock to B15."),
    ("Re: Fridge alarm", "Grace Holt", "Thanks. The engineer comes on Thursday at 11:00; ticket number is RF-2208."),
    ("New printer codes", "Helpdesk", "From Monday the printer at reception needs the code on your badge."),
    ("Parking", "Estates", "Level 2 is closed from 7 to 18 April. Staff park on level 4 with permit P."),
)


def main(folder: Path) -> None:
    for path, make in OFFICE_FILES.items():
        _write(folder / path, make())
    chapters = {1: "Entradas y salidas", 2: "Comedor", 3: "Salud y medicación"}
    _write(folder / "school/guia-familias.pdf", pdf_of(FAMILIES, "Guía para las familias", "Secretaría", chapters))
    _write(
        folder / "clinic/patient-handbook.pdf",
        pdf_of(HANDBOOK, "Patient handbook", "Quality office", {at: page[0] for at, page in enumerate(HANDBOOK) if at}),
    )
    for number, (name, sender, subject, date, body) in enumerate(THREAD, 1):
        _write(folder / "school" / name, bytes(_thread_mail(number, sender, subject, date, body)))
    _write(folder / "clinic/ward.mbox", b"".join(_boxed(number) for number in range(len(MAILBOX))))


def _thread_mail(number: int, sender: str, subject: str, date: str, body: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["Subject"], message["Date"] = sender, subject, date
    message["To"] = "reservas@penalara.example" if number == 1 else "pablo.reyes@almendros.example"
    message["Message-ID"] = f"<bus-{number}@almendros.example>"
    if number > 1:
        message["In-Reply-To"] = f"<bus-{number - 1}@almendros.example>"
    message.set_content(body)
    if number > 1:
        message.add_attachment(CONDITIONS, filename="condiciones.txt")
    return message


def _boxed(number: int) -> bytes:
    subject, sender, body = MAILBOX[number]
    message = EmailMessage()
    message["From"], message["Subject"] = f"{sender} <ward@riverside.example>", subject
    message["To"], message["Date"] = "staff@riverside.example", f"Wed, {2 + number:02} Apr 2025 07:1{number}:00 +0100"
    message["Message-ID"] = f"<ward-{number + 1}@riverside.example>"
    message.set_content(f"Dear all,\n\n{body}\n\nKind regards,\n{sender}\n")
    return b"From ward@riverside.example Wed Apr 02 07:10:00 2025\n" + bytes(message) + b"\n"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
