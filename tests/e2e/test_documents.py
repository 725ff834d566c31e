"""Files of every kind, read from a folder, and answers that name the page, the message or the cell; and the dashboard's
page of them in a real browser."""

import json
import shutil
from collections.abc import Iterator
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
from playwright.sync_api import Browser, expect

from support.browser import Theme, browsing, window
from support.knowledge_page import (
    BROKEN,
    MARKUP,
    PATIENT_MS,
    SPACE,
    TARGET,
    compare,
    look_at_every_state,
    open_space,
    open_versions,
    read_documents,
    row,
    search,
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


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("documents") / "state")
    yield machine
    machine.potluck("down", expect=None)


@pytest.fixture(scope="module")
def running(machine: Machine) -> Running:
    """A new machine with nothing chosen."""
    return machine.up("--install")


@pytest.fixture(scope="module")
def ward(machine: Machine, running: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the space that the page shows."""
    folder = tmp_path_factory.mktemp("folder") / "ward"
    read_documents(machine, folder, CORPUS)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


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


@pytest.mark.usefixtures("ward")
@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 320)])
def test_the_page_of_documents_is_whole_for_everybody(
    browser: Browser, running: Running, theme: Theme, width: int
) -> None:
    with window(browser, running.root, theme, width) as dashboard:
        dashboard.open()
        dashboard.sign_in(running.api_key)
        look_at_every_state(dashboard, theme, width)
        assert dashboard.faults == []


def test_the_page_of_documents_finds_shares_adds_and_reads_again(
    browser: Browser, machine: Machine, running: Running, ward: Path, tmp_path: Path
) -> None:
    told = json.loads(machine.potluck("rag", "query", TARGET, "--space", SPACE, "--json").stdout)["hits"][0]
    files = json.loads(machine.potluck("rag", "ls", "--space", SPACE, "--json").stdout)["files"]
    (why,) = [file["last_error"]["message"] for file in files if file["potluck"]["filename"] == BROKEN]
    with window(browser, running.root) as dashboard:
        page = dashboard.page
        dashboard.open()
        dashboard.sign_in(running.api_key)
        open_space(dashboard)
        expect(page.get_by_role("list", name="Owners")).to_have_text("the key owner")
        expect(page.get_by_role("region", name="The space")).to_contain_text("2 of 3 files are read")
        expect(row(dashboard, "Files that could not be read", BROKEN)).to_contain_text(why)

        best = search(dashboard, TARGET).first
        expect(best).to_contain_text("97 per cent")
        expect(best).to_contain_text(f"score {told['score']:.2f}")
        expect(best).to_contain_text(told["potluck"]["reason"])
        expect(best.locator("mark").filter(has_text="hygiene").first).to_be_visible()
        expect(search(dashboard, "When does the green gate of the garden open?").first).to_contain_text(MARKUP)
        assert page.locator("main :is(script, img)").count() == 0
        expect(search(dashboard, TARGET, "2001-01-01")).to_have_count(0)
        expect(page.get_by_role("region", name="Search").get_by_role("status")).to_contain_text(
            "nothing relevant found"
        )

        drawer = open_versions(dashboard)
        difference = compare(drawer)
        expect(difference.locator("del")).to_contain_text("95 per cent")
        expect(difference.locator("ins")).to_contain_text("97 per cent")
        page.keyboard.press("Escape")

        share = page.get_by_role("form", name="Share")
        share.get_by_label("Its name").fill("nurses")
        share.get_by_role("button", name="Share").click()
        page.get_by_role("dialog").get_by_role("button", name="Share").click()
        expect(page.get_by_role("list", name="Readers")).to_contain_text("the group nurses")
        readers = json.loads(machine.potluck("rag", "share", SPACE, "--json").stdout)["readers"]
        page.get_by_role("button", name="Take back from the group nurses").click()
        page.get_by_role("dialog").get_by_role("button", name="Take back").click()
        expect(page.get_by_text("Nobody but its owners")).to_be_visible()

        (tmp_path / "bins.md").write_text("Blue bins go out on Tuesday.")
        page.get_by_label("Add files to it").set_input_files(tmp_path / "bins.md")
        expect(row(dashboard, "Files, newest first", "bins.md")).to_contain_text("read", timeout=PATIENT_MS)
        (ward / BROKEN).write_text("The spare key hangs behind the door.")
        page.get_by_role("button", name=f"Read again: {BROKEN}").click()
        expect(page.get_by_text("All 4 files are read")).to_be_visible(timeout=PATIENT_MS)
        assert dashboard.faults == []
    assert "group:nurses" in readers


def test_whoever_may_only_ask_has_the_page_of_documents_and_sees_what_is_shared_with_him(
    browser: Browser, machine: Machine, running: Running
) -> None:
    anna, nurse = key_of(machine, "anna"), key_of(machine, "nurse")
    with (
        window(browser, running.root) as dashboard,
        OpenAI(base_url=running.endpoint, api_key=anna, max_retries=0) as client,
    ):
        page = dashboard.page
        dashboard.open()
        page.get_by_label("API key").fill(nurse)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["Knowledge"])
        expect(page.get_by_text("No space is yours to see yet")).to_be_visible()
        assert dashboard.barriers() == []

        file = client.files.create(file=("bins.md", b"Blue bins go out on Tuesday."), purpose="assistants")
        shared = {"readers": ["key:nurse"], "licence": "the town, for its staff"}
        store = client.vector_stores.create(name="town", file_ids=[file.id], extra_body=shared)
        page.reload()
        open_space(dashboard, store.name)
        expect(page.get_by_text("The file is read")).to_be_visible(timeout=PATIENT_MS)
        expect(search(dashboard, "When do blue bins go out?").first).to_contain_text("Tuesday")
        expect(page.get_by_text("Licensed material: the town, for its staff")).to_be_visible()
        page.get_by_role("button", name="Versions of bins.md").last.click()
        expect(page.get_by_role("dialog", name="bins.md")).to_contain_text("only its owners open it as a whole")
        expect(page.get_by_role("region", name="Add files")).to_have_count(0)
        expect(page.get_by_role("form", name="Share")).to_have_count(0)
        assert dashboard.barriers() == []
        assert dashboard.faults == []


def key_of(machine: Machine, name: str) -> str:
    made = machine.potluck("keys", "create", "--name", name, "--role", "user", "--json")
    return str(json.loads(made.stdout)["key"])
