"""A space of documents for the dashboard's page, with a file of two versions, one that is hostile and one that is
broken; and the states that the page has of it."""

from pathlib import Path

from playwright.sync_api import Locator, expect

from support.browser import Dashboard, Theme
from support.dashboard_pages import look
from support.machine import Machine

SPACE = "ward"
CHANGED, HOSTILE, BROKEN = "onboarding.md", "hostile.md", "broken.pdf"
TARGET = "What is this year's target for hand hygiene audits?"
STRANGE = "¿Cuántas lunas tiene Saturno?"
MARKUP = '<script>alert("stolen")</script><img src=x onerror=alert(1)>'
PATIENT_MS = 60_000


def read_documents(machine: Machine, folder: Path, corpus: Path) -> None:
    """Into the space, by the command; what is broken is told by its exit code."""
    folder.mkdir()
    page = folder / CHANGED
    page.write_text((corpus / "clinic" / CHANGED).read_text())
    (folder / HOSTILE).write_text(f"# The gate\n\nThe green gate of the garden opens at nine. {MARKUP}\n")
    (folder / BROKEN).write_bytes(b"%PDF-1.7 and then nothing of one")
    machine.potluck("rag", "ingest", str(folder), "--space", SPACE, expect=1)
    page.write_text(page.read_text().replace("95 per cent", "97 per cent"))
    machine.potluck("rag", "ingest", str(folder), "--space", SPACE, expect=1)
    machine.potluck("rag", "spaces", "make", "nothing")


def open_space(dashboard: Dashboard, name: str = SPACE) -> None:
    dashboard.go("Knowledge")
    row(dashboard, "Spaces", name).get_by_role("link", name=name, exact=True).click()
    dashboard.page.get_by_role("heading", name=name, exact=True).wait_for()


def row(dashboard: Dashboard, table: str, words: str) -> Locator:
    return dashboard.page.get_by_role("table", name=table).get_by_role("row").filter(has_text=words)


def search(dashboard: Dashboard, question: str, day: str = "") -> Locator:
    """The passages that are found for it."""
    page = dashboard.page
    page.get_by_label("Question").fill(question)
    page.get_by_label("As of the end of (UTC)").fill(day)
    with page.expect_response("**/api/v1/rag/search", timeout=PATIENT_MS):
        page.get_by_label("Question").press("Enter")
    expect(page.get_by_role("button", name="Search")).to_be_enabled()
    return page.get_by_role("list", name="Passages").get_by_role("article")


def open_versions(dashboard: Dashboard) -> Locator:
    """The drawer of the file that has two."""
    row(dashboard, "Files, newest first", CHANGED).get_by_role("button").press("Enter")
    drawer = dashboard.page.get_by_role("dialog", name=CHANGED)
    drawer.get_by_role("region", name="Text of version 2").wait_for()
    return drawer


def compare(drawer: Locator) -> Locator:
    drawer.get_by_role("button", name="Compare").click()
    found = drawer.get_by_role("region", name="From version 1 to version 2")
    found.wait_for()
    return found


def look_at_every_state(dashboard: Dashboard, theme: Theme, width: int) -> None:
    page = dashboard.page
    dashboard.go("Knowledge")
    row(dashboard, "Spaces", SPACE).wait_for()
    look(dashboard, "knowledge", theme, width)
    open_space(dashboard, "nothing")
    page.get_by_text("No file is in it yet").wait_for()
    look(dashboard, "knowledge-empty", theme, width)
    open_space(dashboard)
    row(dashboard, "Files that could not be read", BROKEN).wait_for()
    row(dashboard, "Files, newest first", CHANGED).wait_for()
    look(dashboard, "knowledge-space", theme, width)
    search(dashboard, TARGET).first.wait_for()
    look(dashboard, "knowledge-found", theme, width)
    search(dashboard, STRANGE)
    page.get_by_text("nothing relevant found").wait_for()
    look(dashboard, "knowledge-nothing", theme, width)
    drawer = open_versions(dashboard)
    look(dashboard, "knowledge-text", theme, width)
    compare(drawer)
    look(dashboard, "knowledge-versions", theme, width)
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(row(dashboard, "Files, newest first", CHANGED).get_by_role("button")).to_be_focused()
