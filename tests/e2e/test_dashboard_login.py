"""Logins in a real browser: by an issuer that runs here, and with a key that has a second factor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import expect

from cluster.snapshot import PeopleRule
from cluster.totp import secret_of
from inventory.clock import SystemClock
from support.browser import Dashboard, browsing, window
from support.gateway import KEY, PEPPER, Running, access_with, engine_at, key_record, running_gateway
from support.oidc_issuer import Issuer, login_at, running_issuer

pytestmark = pytest.mark.e2e

SALT = "5a" * 16


@asynccontextmanager
async def guarded(root: Path) -> AsyncIterator[tuple[Running, Issuer]]:
    """A gateway whose key has a second factor, and an issuer whose operators it lets in."""
    async with running_issuer(SystemClock()) as issuer, running_gateway(root, [engine_at(None)]) as running:
        issuer.url = issuer.url.replace("127.0.0.1", "localhost")  # another site to a browser, as issuers are
        login = login_at(issuer, running, (PeopleRule("groups", ("staff",), "operator", "office"),))
        access = access_with(running.paths, [replace(key_record(), totp=SALT)], sequence=2)
        running.view.install_access(replace(access, login=login))
        yield running, issuer


async def test_people_log_in_by_their_issuer_and_whom_nobody_let_in_is_told_so(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (running, issuer):

        def visit() -> list[str]:
            with browsing() as browser, window(browser, running.base_url) as dashboard:
                dashboard.open()
                by_issuer(dashboard)
                expect(dashboard.page.get_by_role("alert")).to_contain_text("nobody has given you access")
                assert dashboard.barriers() == []
                assert "?" not in dashboard.page.url
                issuer.person["groups"] = ["staff"]
                by_issuer(dashboard)
                dashboard.page.get_by_role("heading", name="Machines").wait_for()
                expect(dashboard.page.get_by_text("Anna")).to_be_visible()
                dashboard.page.reload()
                dashboard.page.get_by_role("heading", name="Machines").wait_for()
                return dashboard.faults

        faults = await asyncio.to_thread(visit)

    assert {fault.partition("?")[0] for fault in faults} == {f"asked {issuer.url}/authorize"}


async def test_a_key_with_a_second_factor_is_asked_for_its_digits(tmp_path: Path) -> None:
    code = pyotp.TOTP(secret_of(PEPPER.encode(), SALT)).now()
    async with guarded(tmp_path) as (running, _):

        def visit() -> None:
            with browsing() as browser, window(browser, running.base_url) as dashboard:
                dashboard.open()
                dashboard.page.get_by_label("API key").fill(KEY)
                dashboard.page.get_by_role("button", name="Sign in", exact=True).click()
                digits = dashboard.page.get_by_label("Six digits")
                expect(digits).to_be_focused()
                assert dashboard.barriers() == []
                digits.fill(code)
                digits.press("Enter")
                dashboard.page.get_by_role("heading", name="Machines").wait_for()

        await asyncio.to_thread(visit)


def by_issuer(dashboard: Dashboard) -> None:
    dashboard.page.get_by_role("button", name="Sign in with School").click()
