"""What a page that lies open for an hour costs its browser: twenty machines with ten models each. `make soak`.

An hour has 7,200 updates, two a second. They come faster here, ten a second, so that it takes 12 minutes, and the
page's own clock runs as many times faster, so that what it keeps by age is kept and dropped as in an hour. The first
sixth fills what is kept for ten minutes; memory counts from there, after garbage was collected.
"""

import asyncio
import os
from pathlib import Path
from time import monotonic

import pytest
from playwright.async_api import CDPSession, Page, async_playwright

from support.browser import SPEAKS_TO_NOBODY, browser_path
from support.gateway import KEY, running_gateway
from support.many_machines import machine, many_machines

pytestmark = pytest.mark.soak

UPDATES = int(os.environ.get("POTLUCK_SOAK_UPDATES", "7200"))
A_SECOND = 10
FASTER = A_SECOND / 2
GROWTH_LIMIT_BYTES = 10_000_000
FASTER_CLOCK = f"""
    const begun = Date.now(), now = Date.now.bind(Date), every = window.setInterval.bind(window);
    Date.now = () => begun + (now() - begun) * {FASTER};
    window.setInterval = (call, ms, ...more) => every(call, ms / {FASTER}, ...more);
"""


async def held_bytes(session: CDPSession) -> int:
    """By scripts, documents and what they point to, when nothing is left to collect."""
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    usage = await session.send("Runtime.getHeapUsage")
    return int(usage["usedSize"]) + int(usage.get("embedderHeapUsedSize", 0)) + int(usage.get("backingStorageSize", 0))


async def open_page(page: Page, root: str) -> None:
    await page.add_init_script(FASTER_CLOCK)
    await page.goto(f"{root}/dashboard/")
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("article").filter(has_text=machine(19)).wait_for()


async def test_an_hour_of_updates_leaves_no_memory_behind(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, async_playwright() as playwright:
        running.view.install_cluster(many_machines(2))
        browser = await playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox", SPEAKS_TO_NOBODY]
        )
        page = await browser.new_page()
        session = await page.context.new_cdp_session(page)
        await open_page(page, running.base_url)
        samples: list[int] = []
        begun_s = monotonic()
        for update in range(UPDATES):
            await asyncio.sleep(max(0.0, begun_s + update / A_SECOND - monotonic()))
            dead = [machine(update // 50 % 20)] if update % 100 < 50 else []  # one dies or comes back every 5 s
            running.view.install_cluster(many_machines(3 + update, lost=dead))
            if update >= UPDATES // 6 and update % (UPDATES // 24) == 0:
                samples.append(await held_bytes(session))
        shown = await page.locator("main").inner_text()
        await browser.close()

    growth = max(samples[-3:]) - samples[0]
    print(f"RESULT browser updates={UPDATES} held_mb={samples[0] / 1e6:.1f} growth_mb={growth / 1e6:.2f}")
    assert machine(19) in shown
    assert growth < GROWTH_LIMIT_BYTES
