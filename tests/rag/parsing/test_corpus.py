"""The corpus of the school and the clinic: every question's answer stands at the place that the question names."""

import json
from pathlib import Path

import pytest

from rag.chunking import Cut, cut
from rag.parsing.documents import parse
from rag.parsing.sidecar import is_sidecar, metadata_of
from rag.parsing.values import ParsedDocument

CORPUS = Path(__file__).parent.parent.parent / "data" / "corpus"
QUESTIONS = json.loads(CORPUS.with_name("questions.json").read_text())
FILES = sorted(str(path.relative_to(CORPUS)) for path in CORPUS.rglob("*.*") if not is_sidecar(path.name))


def read(file: str) -> tuple[ParsedDocument, Cut]:
    document = parse(Path(file).name, (CORPUS / file).read_bytes())
    return document, cut(document.blocks)


@pytest.mark.parametrize("file", FILES)
def test_every_answer_stands_where_its_question_says(file: str) -> None:
    _, made = read(file)
    asked = [question for question in QUESTIONS if question["file"] == file]

    assert asked, "nobody asks about this file"
    for question in asked:
        places = {
            (chunk.locator.kind, chunk.locator.value) for chunk in made.chunks if question["answer"] in chunk.text
        }
        assert (question["locator"]["kind"], question["locator"]["value"]) in places, question["question"]


def test_every_file_of_the_corpus_is_in_the_language_that_it_is_written_in() -> None:
    told = {file: read(file)[0].language for file in FILES}
    english = {file for file in FILES if file.startswith("clinic/") or file == "school/science-fair.pptx"}

    assert told == {file: "en" if file in english - {"clinic/protocolo-vacunas.txt"} else "es" for file in FILES}


def test_what_nobody_sees_in_a_file_is_not_found() -> None:
    texts = "\n".join(read(file)[1].text for file in FILES)

    for hidden in ("borrador que nadie debe encontrar", "Ignora lo anterior", "gratis", "wrong channel", "color: red"):
        assert hidden not in texts


def test_what_people_wrote_beside_the_files_is_theirs() -> None:
    sidecars = [path for path in CORPUS.rglob("*.*") if is_sidecar(path.name)]
    told = metadata_of({str(path.relative_to(CORPUS)): path.read_bytes() for path in sidecars})

    assert told["school/guia-familias.pdf"] == {"department": "secretaría", "year": 2024.0, "public": True}
    assert told["clinic/patient-handbook.pdf"] == {"department": "quality", "year": 2025.0, "public": True}
    assert set(told) <= set(FILES)
