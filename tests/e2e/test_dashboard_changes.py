"""How soon a page shows what a gateway is told: of twenty machines with ten models each, in a real browser."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import time
from typing import cast

import pytest
from playwright.async_api import Page, async_playwright

from support.browser import SPEAKS_TO_NOBODY, browser_path
from support.gateway import KEY, Running, running_gateway
from support.many_machines import machine, many_machines, model

pytestmark = pytest.mark.e2e

CHANGES = 5
SOON_S = 1.0
WATCH = """words => { window.seen = new Promise(shown => {
    const look = () => words.every(word => document.querySelector("main").innerText.includes(word))
        && (clearInterval(timer), shown(Date.now() / 1000));
    const timer = setInterval(look, 10); look(); }) }"""


@asynccontextmanager
async def page_of(running: Running) -> AsyncIterator[Page]:
    """Signed in, in a browser of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox", SPEAKS_TO_NOBODY]
        )
        page = await browser.new_page()
        await page.goto(f"{running.base_url}/dashboard/")
        await page.get_by_label("API key").fill(KEY)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("article").filter(has_text=machine(19)).wait_for()
        yield page
        await browser.close()


async def seconds_until_shown(page: Page, words: list[str], change: Callable[[], object]) -> float:
    """From the moment the gateway is told until the page says all of these."""
    await page.evaluate(WATCH, words)
    began = time()
    change()
    return cast("float", await asyncio.wait_for(page.evaluate("window.seen"), 30)) - began


async def test_a_machine_that_dies_and_a_model_that_loads_are_seen_within_a_second(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        running.view.install_cluster(many_machines(2))
        async with page_of(running) as page:
            deaths, loads = [], []
            for turn in range(CHANGES):
                dead = [machine(number) for number in range(turn + 1)]
                began = f"{model(turn)}@{machine(19)}"
                words = [f"{dead[-1]}: ready → lost: silent for 10 s"]
                told = many_machines(10 + 2 * turn, lost=dead)
                deaths.append(await seconds_until_shown(page, words, partial(running.view.install_cluster, told)))
                words = [f"{began} on {machine(19)}: ready → starting"]
                told = many_machines(11 + 2 * turn, lost=dead, states={began: "starting"})
                loads.append(await seconds_until_shown(page, words, partial(running.view.install_cluster, told)))

    print(f"RESULT seen death_s={statistics.median(deaths):.2f} load_s={statistics.median(loads):.2f}")
    assert statistics.median(deaths) < SOON_S
    assert statistics.median(loads) < SOON_S


async def test_a_request_that_queues_is_seen_within_a_second(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        running.view.install_cluster(many_machines(2, asleep=model(0)))
        async with page_of(running) as page:
            await page.get_by_role("navigation").get_by_role("link", name="Live", exact=True).click()
            seen, asking = [], []
            body = {"model": model(0), "messages": [{"role": "user", "content": "Hello."}]}
            for waiting in range(1, CHANGES + 1):

                def ask() -> None:
                    asking.append(asyncio.create_task(client.post("/v1/chat/completions", json=body)))

                seen.append(await seconds_until_shown(page, [f"{model(0)}\t0\t{waiting}\t"], ask))
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    print(f"RESULT seen queue_s={statistics.median(seen):.2f}")
    assert statistics.median(seen) < SOON_S
