"""The dashboard in a real browser, and what a page must not do there: log an error, ask a stranger, shut people out."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

ROOT = Path(__file__).parents[2]
AXE = ROOT / "router/dashboard/web/node_modules/axe-core/axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A browser asks its makers, and guesses names to see whether somebody answers to all, whatever it is told to leave.
SPEAKS_TO_NOBODY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"
Theme = Literal["light", "dark"]

VIOLATIONS = """axe.run().then(({ violations }) => violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} (${node.failureSummary})`).join(" | ")}`))"""


@dataclass
class Dashboard:
    """One window. `faults` holds what its console and its requests did that they must not."""

    page: Page
    root: str  # of the gateway
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"thrown: {error}"))
        self.page.on("request", self._asked)

    def open(self) -> None:
        self.page.goto(f"{self.root}/dashboard/")

    def sign_in(self, key: str) -> None:
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Machines").wait_for()

    def go(self, title: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=title, exact=True).click()
        self.page.get_by_role("heading", name=title, level=1, exact=True).wait_for()

    def barriers(self) -> list[str]:
        """What axe finds on the page as it stands."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        return cast("list[str]", self.page.evaluate(VIOLATIONS))

    def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        return cast("int", self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text} {message.location.get('url')}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.root).netloc:
            self.faults.append(f"asked {request.url}")


@contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", SPEAKS_TO_NOBODY])
        yield browser
        browser.close()


def browser_path() -> str:
    """The distribution's browser, installed by `make programs`; playwright's own is never downloaded."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: `make programs`")
    return found


@contextmanager
def window(browser: Browser, root: str, theme: Theme = "light", width: int = 1440) -> Iterator[Dashboard]:
    """Nobody is signed in, and nothing is kept of another window."""
    context = browser.new_context(
        color_scheme=theme, reduced_motion="reduce", viewport={"width": width, "height": 900}, locale="en-GB"
    )
    yield Dashboard(context.new_page(), root)
    context.close()


def save_picture(dashboard: Dashboard, path: Path) -> None:
    """All of the page; with an open drawer, which covers the window only, what the window shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = dashboard.page.get_by_role("dialog").count() == 0
    dashboard.page.screenshot(path=path, full_page=whole, animations="disabled")
