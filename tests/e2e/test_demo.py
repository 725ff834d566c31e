"""`potluck up --demo`, as somebody meets it who has no GPU and downloads nothing."""

import json
from contextlib import suppress

import httpx2
import psutil
import pytest
from openai import OpenAI
from playwright.sync_api import expect

from support.browser import Theme, browsing, window
from support.dashboard_pages import PAGES, look, settled
from support.machine import Machine, Running, eventually

pytestmark = pytest.mark.e2e

MACHINES = {"mac-studio", "rtx4090", "poweredge"}
PATIENT_MS = 60_000  # for what a busy machine does in its own time
Demo = tuple[Machine, Running]


def test_commands_show_three_machines_and_say_that_they_are_simulated(demo: Demo) -> None:
    machine, _ = demo
    nodes = json.loads(machine.potluck("nodes", "ls", "-o", "json").stdout)["nodes"]
    listed = machine.potluck("nodes", "ls").stdout.splitlines()
    status, models = machine.potluck("status").stdout, machine.potluck("models", "ls").stdout

    assert {node["node_id"] for node in nodes if node["state"] == "ready"} == MACHINES
    assert len([line for line in listed if "simulated" in line]) == 3
    assert status.count("simulated: this machine is only described") == 3
    assert "qwen3-4b" in models and "simulated" in models
    assert "llamacpp  simulated" in machine.potluck("engines", "ls").stdout
    for node in nodes:
        (installed,) = node["snapshot"]["installed"]
        assert installed["version"] == "simulated"


def test_an_answer_says_what_it_is_and_its_routing_is_explained(demo: Demo) -> None:
    machine, running = demo
    with OpenAI(base_url=running.endpoint, api_key=running.api_key, max_retries=0) as client:
        answer = client.chat.completions.with_raw_response.create(
            model="qwen3-14b", messages=[{"role": "user", "content": "Hello!"}], max_tokens=24
        )
        vector = client.embeddings.create(model="bge-m3", input="Hello!").data[0].embedding
    said = answer.parse().choices[0].message.content
    words = ("route", "explain", answer.headers["x-request-id"])
    explained = eventually(lambda: machine.potluck(*words, expect=None).stdout, 30, "its decision is on record")

    assert said is not None and said.startswith("SIMULATED: no model has run.")
    assert answer.headers["x-potluck-model-revision"] == "qwen3-14b@simulated"
    assert len(vector) > 0
    assert "qwen3-14b.rtx4090.1" in explained and "qwen3-14b.mac-studio.1" in explained


def test_a_model_that_sleeps_wakes_when_it_is_asked(demo: Demo) -> None:
    _, running = demo
    with OpenAI(base_url=running.endpoint, api_key=running.api_key, max_retries=0) as client:
        answer = client.completions.create(model="qwen3-32b", prompt="Are you there?", max_tokens=8)

    assert answer.choices[0].text.startswith("SIMULATED")


def test_memory_is_what_was_predicted(demo: Demo) -> None:
    machine, _ = demo
    (large,) = [engine for engine in machine.engines() if engine["engine_id"] == "qwen3-235b-a22b.mac-studio.1"]
    asked = machine.potluck("fit", "qwen3-235b-a22b", "--ctx", "32k", "--users", "4", "--node", "mac-studio", "--json")
    (row,) = json.loads(asked.stdout)["rows"]

    assert large["memory_bytes"] == row["need_bytes"] > 140 * 2**30


def test_the_dashboard_shows_them_and_the_traffic(demo: Demo) -> None:
    machine, running = demo
    with httpx2.Client(base_url=running.root, timeout=60) as page:
        login = page.post("/dashboard/session", json={"key": running.api_key})
        state = page.get("/api/v1/state").json()
    eventually(lambda: "class-7b" in machine.potluck("usage", "--by", "key", expect=None).stdout, 30, "a key has asked")

    assert login.status_code == 200
    assert state["cluster"] == "simulated-demo"
    assert set(state["nodes"]) == MACHINES
    assert all(node["labels"]["simulated"] == "yes" for node in state["nodes"].values())
    assert {engine["version"] for engine in state["engines"].values()} == {"simulated"}


def test_its_pages_show_three_machines_what_fits_there_and_who_asked(demo: Demo) -> None:
    _, running = demo
    with browsing() as browser, window(browser, running.root) as dashboard:
        page = dashboard.page
        dashboard.open()
        dashboard.sign_in(running.api_key)
        for name in MACHINES:
            page.get_by_role("heading", name=name, exact=True).wait_for()
        expect(page.get_by_text("simulated: this machine is only described")).to_have_count(3)
        dashboard.go("Fit")
        large = page.get_by_role("table", name="What fits where").get_by_role("row").filter(has_text="qwen3-235b-a22b")
        expect(large.get_by_role("button", name="fits")).to_have_count(1, timeout=PATIENT_MS)
        expect(large.get_by_role("button", name="never")).to_have_count(2)
        dashboard.go("Requests")
        page.get_by_role("row").filter(has_text="mac-studio").first.wait_for(timeout=PATIENT_MS)
        assert dashboard.faults == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_every_page_of_it_is_whole_for_everybody(demo: Demo, theme: Theme, width: int) -> None:
    _, running = demo
    with browsing() as browser, window(browser, running.root, theme, width) as dashboard:
        dashboard.open()
        dashboard.sign_in(running.api_key)
        for title in PAGES:
            dashboard.go(title)
            settled(dashboard, title).wait_for(timeout=PATIENT_MS)
            look(dashboard, f"demo-{title.lower()}", theme, width)
        assert dashboard.faults == []


def test_nothing_of_it_can_be_reached_from_elsewhere_and_nobody_can_join(demo: Demo) -> None:
    machine, _ = demo
    refused = machine.potluck("token", "create", "--node", "intruder", expect=1)
    addresses = set()
    for process in machine.processes():
        with suppress(psutil.Error):
            addresses |= {one.laddr.ip for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN}

    assert "no machine can join" in refused.stderr
    assert addresses == {"127.0.0.1"}


def test_a_second_start_finds_it_running(demo: Demo) -> None:
    machine, running = demo

    assert machine.up("--demo") == running
