"""The dashboard's pages, when each is whole, and what must be true of it then. POTLUCK_PICTURES=DIR keeps what it looks
like."""

import os
import re
from pathlib import Path

from playwright.sync_api import Locator

from support.browser import Dashboard, Theme, save_picture

PAGES = ("Cluster", "Fit", "What-if", "Models", "Events", "Audit", "Connect", "Keys", "Requests", "Live")
PICTURES = os.environ.get("POTLUCK_PICTURES")


def settled(dashboard: Dashboard, title: str, request_id: str = "") -> Locator:
    """What a page shows last. Without `request_id` any request will do."""
    page = dashboard.page
    return {
        "Cluster": page.get_by_role("article").get_by_text("ready", exact=True).first,
        "Fit": page.locator(".verdict").first,
        "What-if": page.locator(".frontier").first,
        "Models": page.get_by_role("img", name=re.compile("^Disk of ")).first,
        "Events": page.get_by_role("table", name="Events, newest first").or_(page.get_by_text("Nothing has changed")),
        "Keys": page.get_by_role("table", name="Usage by key"),
        "Audit": page.get_by_role("table", name="Records, newest first"),
        "Live": page.get_by_role("table", name="By machine"),
        "Requests": link_to(dashboard, request_id),
        "Connect": page.get_by_role("heading", name="Open WebUI"),
    }[title]


def link_to(dashboard: Dashboard, request_id: str = "") -> Locator:
    """In the list of requests, once it is on record."""
    return dashboard.page.locator(f'a[href^="#/requests/{request_id}"]').first


def look(dashboard: Dashboard, name: str, theme: Theme, width: int) -> None:
    """No barrier that axe knows, and nothing wider than the window."""
    barriers, overflow = dashboard.barriers(), dashboard.overflow()
    assert not barriers, (name, barriers)
    assert overflow <= 0, (name, overflow)
    if PICTURES:
        save_picture(dashboard, Path(PICTURES) / f"{name}-{theme}-{width}.png")
