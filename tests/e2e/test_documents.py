"""Files of every kind, read from a folder, and answers that name the page, the message or the cell."""

import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from openai import OpenAI
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseFileSearchToolCall,
    ResponseIncompleteEvent,
    ResponseOutputMessage,
    ResponseOutputText,
)

from support.machine import Machine, Running

pytestmark = pytest.mark.e2e

CORPUS = Path(__file__).parent.parent / "data" / "corpus"
QUESTIONS = json.loads(CORPUS.with_name("questions.json").read_text())
MODEL = "smollm2"
ENDS = (ResponseCompletedEvent, ResponseIncompleteEvent)  # some tokens may not be enough
PLACES = {
    "clinic/patient-handbook.pdf": "page 3",
    "clinic/ward.mbox": "message ward-4@riverside.example",
    "school/horario-tercero.xlsx": "cell Aulas!A2",
    "school/inventario.csv": "line 2",
    "school/science-fair.pptx": "slide 4",
}
TARGET = "What is this year's target for hand hygiene audits?"


@pytest.fixture
def running(machine: Machine) -> Running:
    """A new machine with nothing chosen."""
    return machine.up("--install")


def test_answers_name_the_page_the_message_or_the_cell_and_the_version(
    machine: Machine, running: Running, client: OpenAI, tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    shutil.copytree(CORPUS, folder)
    machine.potluck("rag", "ingest", str(folder), "--space", "school")
    (store,) = [one for one in client.vector_stores.list() if one.name == "school"]
    asked = {
        one["file"]: one for one in QUESTIONS if PLACES.get(one["file"]) == "{kind} {value}".format(**one["locator"])
    }
    assert asked.keys() == PLACES.keys()

    for one in asked.values():
        assert (one["file"], PLACES[one["file"]]) in cited(client, store.id, one["question"])
    address = linked(client, store.id, TARGET)
    before = httpx2.get(address, headers={"authorization": f"Bearer {running.api_key}"}).text
    page = folder / "clinic" / "onboarding.md"
    page.write_text(page.read_text().replace("95 per cent", "97 per cent"))
    machine.potluck("rag", "ingest", str(folder), "--space", "school")
    later = linked(client, store.id, TARGET)
    after = httpx2.get(later, headers={"authorization": f"Bearer {running.api_key}"}).text
    client.vector_stores.delete(store.id)

    assert ("version=1" in urlsplit(address).query, "version=2" in urlsplit(later).query) == (True, True)
    assert ("95 per cent" in before, "97 per cent" in after, "95 per cent" in after) == (True, True, False)


def cited(client: OpenAI, store_id: str, question: str) -> set[tuple[str, str]]:
    """Files and places that a streamed response names. Those of its search are the same files."""
    stream = client.responses.create(
        model=MODEL, input=question, max_output_tokens=8, stream=True, include=["file_search_call.results"],
        tools=[{"type": "file_search", "vector_store_ids": [store_id]}],
    )  # fmt: skip
    (response,) = [event.response for event in stream if isinstance(event, ENDS)]
    search, message = response.output
    assert isinstance(search, ResponseFileSearchToolCall)
    assert isinstance(message, ResponseOutputMessage)
    (part,) = message.content
    assert isinstance(part, ResponseOutputText)
    citations = [one for one in part.annotations if one.type == "file_citation"]
    assert {one.filename for one in citations} <= {one.filename for one in search.results or ()}
    return {(one.filename, (one.model_extra or {})["locator"]) for one in citations}


def linked(client: OpenAI, store_id: str, question: str) -> str:
    """The address that a chat's answer names for the clinic's page."""
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}], max_tokens=8,
        tools=[{"type": "file_search", "vector_store_ids": [store_id]}],  # type: ignore[list-item]
    )  # fmt: skip
    citations = [one.url_citation for one in answer.choices[0].message.annotations or ()]
    (address,) = {one.url for one in citations if "Onboarding" in one.title}
    return address
