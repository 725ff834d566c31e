"""Mails, calendars and chats: each message by its id, with who said what, when, and to whom."""

import json
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from rag.parsing.calendar import rule_in_words
from rag.parsing.documents import parse
from rag.parsing.mail_text import new_words
from rag.parsing.values import CannotParseError, ParsedDocument


def mail(body: str, subject: str = "Reunión", number: int = 1) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Ana Ruiz <ana@escuela.example>"
    message["To"] = "Luis Gil <luis@escuela.example>"
    message["Subject"] = subject
    message["Date"] = "Tue, 04 Mar 2025 09:30:00 +0100"
    message["Message-ID"] = f"<m{number}@escuela.example>"
    message.set_content(body)
    return message


def texts(document: ParsedDocument) -> list[tuple[str, str, str]]:
    return [(str(block.locator), block.heading, block.text.split("\n\n", 1)[-1]) for block in document.blocks]


def test_a_mail_tells_who_wrote_it_when_and_only_its_own_words() -> None:
    reply = "El martes a las nueve.\n\n"
    reply += "El lun, 3 mar 2025 a las 10:00, Luis Gil\n<luis@escuela.example> escribió:\n> ¿Cuándo?\n"
    document = parse("1.eml", bytes(mail(reply, "Re: Reunión")))

    assert texts(document) == [("message m1@escuela.example", "Re: Reunión", "El martes a las nueve.")]
    assert document.blocks[0].text.startswith("From: Ana Ruiz <ana@escuela.example>\nTo: Luis Gil")
    assert document.attributes == {
        "from": "Ana Ruiz <ana@escuela.example>",
        "to": "Luis Gil <luis@escuela.example>",
        "subject": "Re: Reunión",
        "sent": 1741077000.0,
    }
    assert document.title == "Re: Reunión"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Yes.\n\nOn Mon, 3 Mar 2025 at 10:00, Luis wrote:\n> When?\n", "Yes."),
        ("Yes.\n\n-----Original Message-----\nFrom: Luis\n", "Yes."),
        ("Sí.\n\nDe: Luis Gil\nEnviado el: lunes, 3 de marzo\nAsunto: x\n\n¿Cuándo?\n", "Sí."),
        ("> When?\nTuesday.\n> Where?\nRoom 3.\n", "Tuesday.\nRoom 3."),
        ("> nothing but this\n", "> nothing but this"),
        ("On Monday we met.\nWe wrote: nothing.\n", "On Monday we met.\nWe wrote: nothing."),
    ],
)
def test_what_a_mail_quotes_is_left_to_the_mail_that_said_it(body: str, words: str) -> None:
    assert new_words(body, "Re: x") == words


def test_a_forwarded_mail_is_kept_whole() -> None:
    body = "FYI\n\n---------- Forwarded message ---------\nFrom: Luis\n\nThe boiler is broken.\n"

    assert "The boiler is broken." in new_words(body, "something")
    assert "broken" in new_words("-----Original Message-----\nFrom: L\n\nIt is broken.", "FW: boiler")


def test_of_a_mail_in_html_a_reader_sees_the_same_words() -> None:
    message = mail("x")
    message.set_content("<html><p>Room <b>12</b></p><p style='display:none'>trick</p></html>", subtype="html")

    assert texts(parse("1.eml", bytes(message)))[0][2] == "Room 12"


def test_of_alternatives_the_plain_one_is_read_once() -> None:
    message = mail("Room 12")
    message.add_alternative("<p>Room 12</p>", subtype="html")

    assert texts(parse("1.eml", bytes(message))) == [("message m1@escuela.example", "Reunión", "Room 12")]


def test_what_is_attached_is_read_under_its_name_and_paths_are_only_names() -> None:
    message = mail("Va la lista.")
    message.add_attachment(b"name,room\nAna,12\n", maintype="text", subtype="csv", filename="../../etc/lista.csv")
    message.add_attachment(b"\x89PNG\r\n\x1a\n\x00", maintype="image", subtype="png", filename="C:\\foto.png")
    message.add_attachment(mail("Inside.", "Old", 2))

    assert texts(parse("1.eml", bytes(message))) == [
        ("message m1@escuela.example", "Reunión", "Va la lista."),
        ("message m1@escuela.example", "Reunión > lista.csv > line 2", "name: Ana; room: 12"),
        ("message m1@escuela.example", "Reunión", "Attached: foto.png"),
        ("message m1@escuela.example", "Reunión > message.eml > Old > message m2@escuela.example", "Inside."),
    ]


def test_each_message_of_a_mailbox_is_found_by_its_own_id() -> None:
    mails = [bytes(mail(f"Word {number}.\n\n>From here", "x", number)) for number in (1, 2)]
    line = b"From ana@escuela.example Tue Mar  4 09:30:00 2025\n"
    box = b"".join(line + one.replace(b"\r\n", b"\n") + b"\n\n" for one in mails)
    document = parse("all.mbox", box)

    assert [(text[0], text[2]) for text in texts(document)] == [
        ("message m1@escuela.example", "Word 1.\n\nFrom here"),
        ("message m2@escuela.example", "Word 2.\n\nFrom here"),
    ]
    assert document.attributes == {"messages": 2.0}


def test_a_mail_with_more_parts_than_anybody_attaches_is_told() -> None:
    many = (
        b"MIME-Version: 1.0\nDate: x\nSubject: x\nContent-Type: multipart/mixed; boundary=B\n\n" + b"--B\n\nx\n" * 5_000
    )

    with pytest.raises(CannotParseError, match="has 5000 parts; at most 500"):
        parse("1.eml", many)


EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//escuela//ES
X-WR-CALNAME:Calendario escolar
BEGIN:VEVENT
UID:claustro-1@escuela.example
SUMMARY:Claustro de marzo
DTSTART;TZID=Europe/Madrid:20250304T160000
DTEND;TZID=Europe/Madrid:20250304T173000
RRULE:FREQ=MONTHLY;BYDAY=1TU;COUNT=4
LOCATION:Sala 3
ORGANIZER;CN=Ana Ruiz:mailto:ana@escuela.example
ATTENDEE;CN=Luis Gil:mailto:luis@escuela.example
DESCRIPTION:Traed las notas.\\nGracias
END:VEVENT
BEGIN:VEVENT
UID:fiesta@escuela.example
SUMMARY:Fiesta
STATUS:CANCELLED
DTSTART;VALUE=DATE:20250620
END:VEVENT
END:VCALENDAR
"""


def test_an_event_is_told_in_words() -> None:
    document = parse("escuela.ics", EVENT.replace("\n", "\r\n").encode())

    assert [(str(block.locator), block.text) for block in document.blocks] == [
        (
            "message claustro-1@escuela.example",
            "Claustro de marzo\nWhen: Tuesday 2025-03-04 16:00 to 17:30 (Europe/Madrid)\n"
            "Recurs: every month on the first Tuesday, 4 times\nWhere: Sala 3\n"
            "Organiser: Ana Ruiz <ana@escuela.example>\nAttendees: Luis Gil <luis@escuela.example>\n"
            "Traed las notas.\nGracias",
        ),
        ("message fiesta@escuela.example", "Fiesta\nStatus: cancelled\nWhen: Friday 2025-06-20"),
    ]
    assert document.title == "Calendario escolar"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"FREQ": ["DAILY"]}, "every day"),
        ({"FREQ": ["WEEKLY"], "INTERVAL": [2], "BYDAY": ["MO", "FR"]}, "every 2 weeks on Monday and Friday"),
        ({"FREQ": ["MONTHLY"], "BYDAY": ["-1FR"]}, "every month on the last Friday"),
        ({"FREQ": ["MONTHLY"], "BYMONTHDAY": [1, 15]}, "every month on day 1 and day 15"),
        ({"FREQ": ["NEVER"]}, ""),
        (None, ""),
    ],
)  # fmt: skip
def test_a_rule_is_told_in_words(rule: object, words: str) -> None:
    assert rule_in_words(rule) == words


def said(number: int, text: str, **more: object) -> dict[str, object]:
    return {
        "id": str(number),
        "messageType": "message",
        "createdDateTime": f"2025-03-04T09:{number:02}:00.000Z",
        "from": {"user": {"displayName": f"Person {number}"}},
        "body": {"contentType": "html", "content": text},
        **more,
    }


def test_a_chat_is_read_thread_by_thread_without_what_was_taken_back() -> None:
    messages = [
        said(3, "<p>A las nueve</p>", replyToId="1"),
        said(2, "<p>Otra cosa</p>", attachments=[{"name": "plan.docx"}]),
        said(1, '<p>¿A qué hora, <at id="0">Luis</at>?</p>', subject="Claustro"),
        said(4, "<p>borrado</p>", deletedDateTime="2025-03-04T10:00:00Z"),
        said(5, "<p>joined</p>", messageType="systemEventMessage"),
    ]
    for value in (messages, {"value": messages}):
        document = parse("chat.json", json.dumps(value).encode())
        assert [(str(block.locator), block.heading, block.text) for block in document.blocks] == [
            ("message 1", "Claustro", "Person 1, 2025-03-04 09:01: ¿A qué hora, @Luis?"),
            ("message 3", "Claustro", "Person 3, 2025-03-04 09:03: A las nueve"),
            ("message 2", "Otra cosa", "Person 2, 2025-03-04 09:02: Otra cosa\nAttached: plan.docx"),
        ]


def test_one_chat_message_alone_is_a_chat_too() -> None:
    document = parse("message.json", json.dumps(said(1, "<p>Hola</p>")).encode())

    assert document.media_type.endswith("teams.messages+json")
    assert document.blocks[0].locator.value == "1"
