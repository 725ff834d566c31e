"""Text as people write it, in any encoding: cleaned, in its language, each part where a person finds it."""

import pytest

from rag.chunking import Block, cut
from rag.parsing.clean import clean_lines, clean_page, clean_text
from rag.parsing.documents import parse
from rag.parsing.language import language_of
from rag.parsing.values import CannotParseError

SPANISH = "El comedor del colegio abre a las trece treinta y cierra a las quince horas, todos los días lectivos."
ENGLISH = "The dining hall of the school opens at half past one and closes at three on every school day."


def places(blocks: tuple[Block, ...]) -> list[tuple[str, str]]:
    return [(str(block.locator), block.text) for block in blocks]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_letters_are_the_same_in_every_encoding(encoding: str) -> None:
    document = parse("aviso.txt", f"Reunión el miércoles: «año nuevo».\n{SPANISH}\n".encode(encoding))

    assert document.blocks[0].text.startswith("Reunión el miércoles: «año nuevo».")
    assert (document.language, document.media_type, document.title) == ("es", "text/plain", "aviso.txt")


def test_lines_of_a_text_are_counted_as_an_editor_counts_them() -> None:
    text = "one\r\n\r\n\r\ntwo\u00ad\x07\rthree\n" + "A line of prose that goes on for a while.\n" * 60
    chunks = cut(parse("notes.txt", text.encode()).blocks).chunks

    assert chunks[0].locator.value == "1" and "two\nthree\n" in chunks[0].text
    last = chunks[-1]
    assert clean_lines(text).split("\n")[int(last.locator.value) - 1] == last.text.split("\n")[0]


def test_cut_words_and_sentences_of_a_page_are_made_whole() -> None:
    page = "The com-\r\nmittee met in Stratford-upon-\r\nAvon and\r\nagreed.\r\nNext item\r\n\r\n\r\n\r\n"
    page += "The hyphen\ufffe\r\nated one."

    assert clean_page(page) == (
        "The committee met in Stratford-upon-Avon and agreed.\nNext item\n\nThe hyphenated one."
    )


def test_what_nobody_sees_is_no_text() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey me")

    assert clean_text(f"so\u00adft\u200b \u202eword\u202c\x00{hidden}\n\n \n\n\nend  \n") == "soft word\n\nend"
    assert clean_text("e\u0301") == "é"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (SPANISH, "es"),
        (ENGLISH, "en"),
        ("Die Kantine der Schule öffnet um halb zwei und schließt an jedem Schultag um drei Uhr.", "de"),
        ("La cantine de l'école ouvre à treize heures trente et ferme à quinze heures tous les jours.", "fr"),
        ("La mensa della scuola apre alle tredici e trenta e chiude alle quindici di ogni giorno.", "it"),
        ("A cantina da escola abre às treze e trinta e fecha às quinze horas todos os dias letivos.", "pt"),
        ("El menjador de l'escola obre a dos quarts de dues i tanca a les tres tots els dies lectius.", "ca"),
        ("ok gracias", ""),
        ("Spotkanie rady pedagogicznej odbędzie się we wtorek o dziewiątej rano w sali numer trzy.", ""),
        ("会議は火曜日の午前九時に三号室で行われます。資料を持って来てください。" * 3, ""),
        ("4711 0815 12:30 99-22 " * 20, ""),
    ],
)
def test_the_language_is_told_where_it_is_sure(text: str, language: str) -> None:
    assert language_of(text) == language


def test_markdown_is_cut_at_its_chapters_under_their_titles() -> None:
    front = "---\ntitle: Guía\nauthor: Secretaría\n---\n"
    text = f"{front}# Normas\n\n{SPANISH * 4}\n\n## Salidas\n\n{SPANISH * 4}\n\n```\n# no\n```\n"
    document = parse("guia.md", text.encode())

    assert [(block.locator.value, block.heading) for block in document.blocks] == [
        ("5", "Normas"),
        ("9", "Normas > Salidas"),
    ]
    assert all(block.markdown for block in document.blocks)
    assert (document.title, document.attributes) == ("Guía", {"author": "Secretaría"})


def test_short_chapters_go_together_under_the_title_that_they_share() -> None:
    document = parse("guia.md", b"# Rules\n\n## One\n\nshort\n\n## Two\n\nshort too\n")

    assert [(block.locator.value, block.heading) for block in document.blocks] == [("1", "Rules")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_of_a_table_read_by_themselves_and_keep_their_line(delimiter: str) -> None:
    rows = [["name", "room"], ["Ana", "12"], ['"Juan\nLuis"', "13"], ["", ""], ["Eva", "14"]]
    content = "\n".join(delimiter.join(row) for row in rows).encode()

    assert places(parse("rooms.csv", content).blocks) == [
        ("line 2", "name: Ana; room: 12"),
        ("line 3", "name: Juan Luis; room: 13"),
        ("line 6", "name: Eva; room: 14"),
    ]


def test_json_for_people_keeps_its_lines_and_json_for_machines_gets_some() -> None:
    shown = parse("a.json", b'{\n "room": "12",\n "floor": 3\n}\n')
    packed = parse("b.json", ('{"rooms":[' + ",".join(['"a room of some name"'] * 200) + "]}").encode())

    assert shown.blocks[0].locator.kind == "line"
    assert packed.blocks[0].text.count("\n") == 203


def test_nothing_and_nothing_but_spaces_are_told() -> None:
    for content in (b"", b" \n\t\r\n", b"\x00" * 50):
        with pytest.raises(CannotParseError, match=r"empty\.txt is empty"):
            parse("empty.txt", content)


def test_binary_that_is_named_text_is_refused() -> None:
    with pytest.raises(CannotParseError, match="not text") as raised:
        parse("data.txt", bytes(range(256)) * 40)

    assert raised.value.code == "unsupported_file"
