"""Every page of the dashboard in a real browser, against a real one-machine cluster. POTLUCK_PICTURES=DIR keeps what
it looks like."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Response, expect

from support.browser import Dashboard, Theme, browsing, window
from support.dashboard_pages import PAGES, link_to, look, settled
from support.machine import Machine, Running, eventually

pytestmark = pytest.mark.e2e

MODEL = "smollm2"
ELSEWHERE = "qwen3-14b"  # known by name; nobody here has it
PATIENT_MS = 60_000  # for what a busy machine does in its own time


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def dashboard(browser: Browser, running: Running) -> Iterator[Dashboard]:
    """Signed in as the owner; whatever a test does there, the page behaves."""
    with window(browser, running.root) as dashboard:
        dashboard.open()
        dashboard.sign_in(running.api_key)
        yield dashboard
        assert dashboard.faults == []


def ask(running: Running) -> str:
    """A stream through the gateway, whole, and its id."""
    messages = [{"role": "user", "content": "Say hello."}]
    body = {"model": MODEL, "messages": messages, "max_tokens": 16, "stream": True}
    answer = httpx2.post(f"{running.endpoint}/chat/completions", json=body, headers=bearer(running), timeout=120)
    assert answer.status_code == 200
    return answer.headers["x-request-id"]


def bearer(running: Running) -> dict[str, str]:
    return {"authorization": f"Bearer {running.api_key}"}


def row_of(dashboard: Dashboard, caption: str, words: str) -> Locator:
    return dashboard.page.get_by_role("table", name=caption).get_by_role("row").filter(has_text=words)


# The demo's pages are looked at in the other two ways.
@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 390),
        ("dark", 1440),
        pytest.param("light", 1440, marks=pytest.mark.soak),
        pytest.param("dark", 390, marks=pytest.mark.soak),
    ],
)
def test_every_page_is_whole_for_everybody(browser: Browser, running: Running, theme: Theme, width: int) -> None:
    """No barrier that axe knows, no error, no stranger asked, nothing wider than the window; and a request that was
    refused is among those that are shown."""
    unknown = {"model": "no-such-model", "messages": [{"role": "user", "content": "Say hello."}]}
    refused = httpx2.post(f"{running.endpoint}/chat/completions", json=unknown, headers=bearer(running))
    assert refused.status_code == 404
    request_id = ask(running)

    with window(browser, running.root, theme, width) as dashboard:
        dashboard.open()
        dashboard.page.get_by_label("API key").wait_for()
        look(dashboard, "login", theme, width)
        dashboard.sign_in(running.api_key)
        for title in PAGES:
            if title == "Live":
                ask(running)  # it shows the last minute
            dashboard.go(title)
            settled(dashboard, title, request_id).wait_for(timeout=PATIENT_MS)
            look(dashboard, title.lower(), theme, width)
        dashboard.go("Models")
        dashboard.page.get_by_role("button", name="Unload").click()
        look(dashboard, "ask", theme, width)
        dashboard.page.get_by_role("button", name="Cancel").click()
        dashboard.page.goto(f"{running.root}/dashboard/#/requests/{request_id}")
        dashboard.page.get_by_role("dialog").get_by_role("table").wait_for()
        look(dashboard, "request", theme, width)
        assert dashboard.faults == []


def test_a_wrong_key_is_told_so_and_sees_nothing(browser: Browser, running: Running) -> None:
    with window(browser, running.root) as dashboard:
        dashboard.open()
        dashboard.page.get_by_label("API key").fill("pl_" + "0" * 43)
        dashboard.page.get_by_role("button", name="Sign in").click()

        expect(dashboard.page.get_by_role("alert")).to_contain_text("key")
        expect(dashboard.page.get_by_role("navigation")).to_have_count(0)


def test_a_session_lasts_over_a_reload_and_ends_when_signed_out(dashboard: Dashboard, running: Running) -> None:
    page = dashboard.page
    page.reload()
    page.get_by_role("heading", name="Machines").wait_for()
    assert running.api_key not in page.content()
    assert running.api_key not in page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for()
    page.reload()
    page.get_by_label("API key").wait_for()


def test_a_key_that_is_revoked_leads_back_to_the_login(
    browser: Browser, running: Running, shared_machine: Machine
) -> None:
    made = shared_machine.potluck("keys", "create", "--name", "wall", "--role", "display", "--json")
    key = json.loads(made.stdout)["key"]
    with window(browser, running.root) as dashboard:
        dashboard.open()
        dashboard.sign_in(key)
        shared_machine.potluck("keys", "revoke", "wall", "--yes")

        expect(dashboard.page.get_by_role("alert")).to_contain_text("Sign in again", timeout=PATIENT_MS)


def test_a_machine_is_shown_with_its_memory_its_engine_and_its_model(dashboard: Dashboard, running: Running) -> None:
    state = httpx2.get(f"{running.root}/api/v1/state", headers=bearer(running), timeout=30).json()
    ((node_id, node),) = state["nodes"].items()
    (engine,) = state["engines"].values()
    weights = f"{node['pools']['ram']['parts']['weights'] / 2**20:.1f} MiB"
    card = dashboard.page.get_by_role("article").filter(has_text=node_id)

    expect(card.get_by_text(MODEL, exact=True)).to_be_visible()
    expect(card).to_contain_text(f"{engine['kind']} {engine['version']}")
    bar = card.get_by_role("img", name=re.compile("^Memory of "))
    expect(bar).to_have_accessible_name(re.compile(rf"weights {re.escape(weights)}, .*free .*, budget "))
    expect(row_of(dashboard, "Models", MODEL)).to_contain_text("ready")

    dashboard.page.get_by_role("button", name="Memory as a table").press("Enter")
    expect(row_of(dashboard, "Memory of the machines", node_id)).to_contain_text(weights)


def test_what_changes_is_shown_and_what_goes_is_gone_without_a_reload(
    dashboard: Dashboard, shared_machine: Machine
) -> None:
    (node,) = shared_machine.cluster()["nodes"]
    label = dashboard.page.get_by_role("list", name="Labels").get_by_text("room=office")

    shared_machine.potluck("nodes", "label", node["node_id"], "room=office")
    expect(label).to_be_visible(timeout=PATIENT_MS)

    shared_machine.potluck("nodes", "label", node["node_id"], "room-")
    expect(label).to_have_count(0, timeout=PATIENT_MS)


def test_the_matrix_is_walked_by_keys_and_a_cell_opens_the_heads_arithmetic(
    dashboard: Dashboard, shared_machine: Machine
) -> None:
    answered = json.loads(shared_machine.potluck("fit", ELSEWHERE, "--ctx", "8k", "--json", expect=None).stdout)
    dashboard.go("Fit")
    dashboard.page.get_by_label("Another model").fill(ELSEWHERE)
    dashboard.page.keyboard.press("Enter")
    cell = row_of(dashboard, "What fits where", ELSEWHERE).locator(".verdict")
    cell.wait_for(timeout=PATIENT_MS)
    row_of(dashboard, "What fits where", MODEL).locator(".verdict").focus()
    dashboard.page.keyboard.press("ArrowDown")
    expect(cell).to_be_focused()
    dashboard.page.keyboard.press("Enter")

    drawer = dashboard.page.get_by_role("dialog", name=f"{ELSEWHERE} on ")
    for row in answered["rows"]:
        reckoned = drawer.get_by_role("table", name=f"Arithmetic of {row['engine']} {row['quantisation']}", exact=True)
        for item in row["items"]:
            expect(reckoned.get_by_role("row").filter(has_text=item["term"])).to_contain_text(item["how"])
    assert dashboard.barriers() == []
    dashboard.page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(cell).to_be_focused()


def test_a_model_that_nobody_knows_is_told_so_in_its_row(browser: Browser, running: Running) -> None:
    with window(browser, running.root) as dashboard:
        dashboard.open()
        dashboard.sign_in(running.api_key)
        dashboard.go("Fit")
        dashboard.page.get_by_label("Another model").fill("no-such-model")
        dashboard.page.get_by_role("button", name="Add").click()

        expect(row_of(dashboard, "What fits where", "no-such-model")).to_contain_text("known", timeout=PATIENT_MS)


def test_what_goes_through_appears_without_a_reload(dashboard: Dashboard, running: Running) -> None:
    dashboard.go("Live")
    ask(running)

    expect(row_of(dashboard, "By model", MODEL)).to_contain_text(re.compile(r"\d (ms|s)"), timeout=PATIENT_MS)
    dashboard.page.get_by_role("button", name="As a table").press("Enter")
    samples = dashboard.page.get_by_role("table", name=re.compile("^Live figures")).get_by_role("row")
    expect(samples.nth(1)).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))


def test_the_drawer_of_a_request_says_what_route_explain_says(
    dashboard: Dashboard, running: Running, shared_machine: Machine
) -> None:
    request_id = ask(running)
    explained = eventually(lambda: explanation(shared_machine, request_id), 30, "its decision is on record")
    dashboard.go("Requests")
    link = link_to(dashboard, request_id)
    link.click(timeout=PATIENT_MS)

    drawer = dashboard.page.get_by_role("dialog")
    expect(drawer).to_contain_text(explained["reason"].replace("_", " "))
    expect(drawer.get_by_role("img", name=re.compile("^When what happened"))).to_be_visible()
    for one in explained["ranking"]:
        expect(drawer.get_by_role("row").filter(has_text=one["engine_id"])).to_contain_text(one["node_id"])
    expect(drawer.get_by_text(f"potluck route explain {request_id}")).to_be_visible()
    drawer.get_by_role("button", name="Close").click()
    expect(link).to_be_focused()


def explanation(machine: Machine, request_id: str) -> Any:
    done = machine.potluck("route", "explain", request_id, "--json", expect=None)
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_the_address_that_connect_gives_is_the_endpoint(dashboard: Dashboard, running: Running) -> None:
    dashboard.go("Connect")
    text = dashboard.page.get_by_label("OpenAI clients", exact=True).inner_text()
    base = re.search(r"OPENAI_BASE_URL=(\S+)", text)

    assert base is not None
    assert httpx2.get(f"{base[1]}/models", headers=bearer(running), timeout=30).status_code == 200
    assert base[1] == running.endpoint


def test_a_machine_is_cordoned_by_whoever_confirms_it_and_nobody_else(
    dashboard: Dashboard, running: Running, shared_machine: Machine
) -> None:
    page = dashboard.page
    (node,) = shared_machine.cluster()["nodes"]
    card = page.get_by_role("article", name=node["node_id"])
    dialog = page.get_by_role("dialog", name=f"Cordon: {node['node_id']}")

    card.get_by_role("button", name="Cordon").press("Enter")
    expect(dialog).to_contain_text(f"What runs goes on: {MODEL}")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    assert dashboard.barriers() == []
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(card.get_by_role("button", name="Cordon")).to_be_focused()
    assert shared_machine.cluster()["nodes"][0]["duty"] == "serve"

    card.get_by_role("button", name="Cordon").click()
    dialog.get_by_role("button", name="Cordon").click()
    expect(card).to_contain_text("cordoned by the operator", timeout=PATIENT_MS)
    expect(page.get_by_role("status").filter(has_text="nothing more starts there")).to_be_visible()
    card.get_by_role("button", name="Take work again").click()
    page.get_by_role("dialog").get_by_role("button", name="Take work again").click()
    expect(card.get_by_role("button", name="Cordon")).to_be_visible(timeout=PATIENT_MS)

    told = json.loads(shared_machine.potluck("audit", "tail", "-n", "20", "--json").stdout)["records"]
    acts = [(one["action"], one["actor"]["kind"]) for one in told if one["action"].startswith("node.")]  # no logins
    assert set(acts[-3:]) == {("node.cordon", "key"), ("node.uncordon", "key")}


def test_a_model_is_unloaded_and_loaded_again_and_the_page_shows_it(dashboard: Dashboard, running: Running) -> None:
    page = dashboard.page
    dashboard.go("Models")
    card = page.get_by_role("article", name=MODEL, exact=True)
    expect(card.get_by_role("table")).to_contain_text("loaded", timeout=PATIENT_MS)

    card.get_by_role("button", name="Unload").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("nobody is served by it")
    assert dashboard.barriers() == []
    dialog.get_by_role("button", name="Unload").click()
    expect(card).to_contain_text("unloaded by the operator", timeout=PATIENT_MS)
    expect(card.get_by_role("table")).to_contain_text("on disk", timeout=PATIENT_MS)
    assert chat(running).status_code == 503

    card.get_by_role("button", name="Load").click()
    expect(dialog).to_contain_text("fits", timeout=PATIENT_MS)
    dialog.get_by_role("button", name="Load").click()
    expect(card.get_by_text("ready", exact=True)).to_be_visible(timeout=PATIENT_MS)
    eventually(lambda: chat(running).status_code == 200 or None, 60, "it answers again")
    dashboard.go("Events")
    events = page.get_by_role("table", name="Events, newest first")
    page.get_by_role("combobox", name="Model").select_option(MODEL)
    expect(events).to_contain_text("ready → unplaced: unloaded by the operator", timeout=PATIENT_MS)
    page.get_by_role("combobox", name="About").select_option("config")
    expect(events).to_have_count(0)


def chat(running: Running) -> httpx2.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}
    return httpx2.post(f"{running.endpoint}/chat/completions", json=body, headers=bearer(running), timeout=120)


def test_a_display_sees_no_button_that_acts_and_no_page_that_is_not_its_own(
    browser: Browser, running: Running, shared_machine: Machine
) -> None:
    made = shared_machine.potluck("keys", "create", "--name", "screen", "--role", "display", "--json")
    with window(browser, running.root) as dashboard:
        dashboard.open()
        dashboard.sign_in(json.loads(made.stdout)["key"])
        expect(dashboard.page.get_by_role("navigation").get_by_role("link")).to_have_text(
            ["Cluster", "Models", "Fit", "What-if", "Live", "Events", "Connect"]
        )
        expect(dashboard.page.locator(".acts")).to_have_count(0)
        dashboard.go("Models")
        settled(dashboard, "Models", "").wait_for(timeout=PATIENT_MS)
        expect(dashboard.page.locator(".acts")).to_have_count(0)
        assert dashboard.faults == []


def test_what_if_is_moved_by_keys_and_draws_the_frontier_of_the_head(dashboard: Dashboard) -> None:
    page = dashboard.page
    dashboard.go("What-if")
    page.get_by_role("combobox", name="Model").fill(ELSEWHERE)
    page.get_by_role("slider", name="Requests at once").press("ArrowRight")
    with page.expect_response(asks_for_frontier(ELSEWHERE, users=2, context=512), timeout=PATIENT_MS) as told:
        page.get_by_role("slider", name="Tokens of a request").press("Home")
    row = told.value.json()["rows"][0]
    expect(page.get_by_text(f"potluck fit {ELSEWHERE} --ctx 512 --users 2 --frontier")).to_be_visible()
    place = page.get_by_role("article", name=f"{row['node']}, {row['engine']}")
    asked = re.compile("Asked: 2 of 512 tokens")
    expect(place.get_by_role("img", name=asked)).to_be_visible(timeout=PATIENT_MS)

    place.get_by_role("button", name="Curve as a table").press("Enter")
    table = place.get_by_role("table", name=re.compile("^Most requests at once"))
    for point in row["points"]:
        header = page.get_by_role("rowheader", name=f"{point['context_tokens']:,}", exact=True)
        cells = table.get_by_role("row").filter(has=header).get_by_role("cell")
        expect(cells).to_have_text([f"{point['users_alone']:,}", f"{point['users_beside']:,}"])


def asks_for_frontier(model: str, users: int, context: int) -> Callable[[Response], bool]:
    """The answer to this question, and to none that the page asked before."""

    def wanted(response: Response) -> bool:
        if not response.url.endswith("/fit/frontier"):
            return False
        asked = response.request.post_data_json or {}
        return (asked.get("model"), asked.get("users"), asked.get("context")) == (model, users, context)

    return wanted


def test_keys_are_shown_without_their_secrets_and_the_audit_is_verified(
    dashboard: Dashboard, running: Running, shared_machine: Machine
) -> None:
    made = shared_machine.potluck("keys", "create", "--name", "anna", "--limit", "requests_per_minute=9", "--json")
    secret = json.loads(made.stdout)["key"]
    dashboard.go("Keys")
    expect(row_of(dashboard, "Keys", "anna")).to_contain_text("0 of 9 requests per minute", timeout=PATIENT_MS)
    ask(running)
    dashboard.page.get_by_role("combobox", name="By", exact=True).select_option("model")
    expect(row_of(dashboard, "Usage by model", MODEL)).to_be_visible(timeout=PATIENT_MS)
    assert secret not in dashboard.page.content()

    dashboard.go("Audit")
    dashboard.page.get_by_role("searchbox").fill("anna")
    dashboard.page.keyboard.press("Enter")
    expect(row_of(dashboard, "Records, newest first", "key.create").first).to_contain_text("anna", timeout=PATIENT_MS)
    dashboard.page.get_by_role("button", name="Verify").click()
    verdict = dashboard.page.get_by_role("region", name="Verification")
    expect(verdict).to_contain_text("as it was written", timeout=PATIENT_MS)
    assert dashboard.barriers() == []
