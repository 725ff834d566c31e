"""Logins at the dashboard by an issuer that runs here: who gets in, who does not and why, and when it ends."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from cluster.snapshot import AccessSnapshot, LoginIssuer, PeopleRule
from router.dashboard.cookie import NAME, ROUTES
from router.dashboard.login_api import BACK, BROWSER, OFF
from router.dashboard.oidc_desk import LASTS_S
from router.dashboard.oidc_provider import KEYS_AGAIN_S, PATIENCE_S, SKEW_S
from router.dashboard.sessions import IDLE_S
from router.permissions import NEEDED
from support.audit_hook import connections
from support.callers import KEYS, records
from support.gateway import Running, access_with, engine_at, running_gateway
from support.manual_clock import ManualClock
from support.oidc_issuer import (
    CLIENT_ID,
    Issuer,
    login_at,
    running_issuer,
    signed_by_another,
    signed_with_what_is_public,
    unsigned,
)

SESSION, STATE = "/dashboard/session", "/api/v1/state"
OWN_PAGE = {"x-potluck-dashboard": "1", "sec-fetch-site": "same-origin"}
RULES = (PeopleRule("groups", ("staff",), "operator", "office"), PeopleRule("sub", ("anna",), "display", "hall"))


@dataclass
class School:
    """A gateway and the issuer that it asks."""

    running: Running
    issuer: Issuer
    clock: ManualClock
    login: LoginIssuer
    sequence: int = 2

    def configure(self, login: LoginIssuer | None) -> None:
        self.sequence += 1
        access: AccessSnapshot = access_with(self.running.paths, records(), sequence=self.sequence)
        self.running.view.install_access(replace(access, login=login))

    def browser(self) -> httpx2.AsyncClient:
        return self.running.http(None)

    def refusals(self) -> list[tuple[str, str]]:
        return [(one.cause, one.target) for one in self.running.gateway.dispatcher.refusals.take()]


@asynccontextmanager
async def school(root: Path) -> AsyncIterator[School]:
    clock = ManualClock()
    async with running_issuer(clock) as issuer, running_gateway(root, [engine_at(None)], clock=clock) as running:
        login = login_at(issuer, running, RULES)
        made = School(running, issuer, clock, login)
        made.configure(login)
        yield made


async def go_off(client: httpx2.AsyncClient) -> str:
    """Where the issuer sends the browser back to."""
    off = await client.get(OFF)
    assert off.status_code == 303
    there = await client.get(off.headers["location"])
    assert there.status_code == 302
    return there.headers["location"]


async def log_in(client: httpx2.AsyncClient) -> httpx2.Response:
    return await client.get(await go_off(client))


def refused_with(answer: httpx2.Response) -> str:
    """The code, of an answer that lets nobody in."""
    assert answer.status_code == 303
    assert not any(cookie.startswith(f"{NAME}=") for cookie in answer.headers.get_list("set-cookie"))
    where = urlsplit(answer.headers["location"])
    assert (where.scheme, where.netloc, where.path) == ("", "", "/dashboard/")
    return parse_qs(where.query)["login"][0]


async def test_whom_a_rule_names_is_let_in_as_the_rule_says(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.person["groups"] = ["pupils", "staff"]
        ways = (await client.get("/dashboard/ways")).json()
        answer = await log_in(client)
        facts = (await client.get(SESSION)).json()
        state, decisions = await client.get(STATE), await client.get("/api/v1/decisions")
        noted = made.running.gateway.dashboard.door.notes.first()

    assert ways == {"oidc": "School"}
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{NAME}="))
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert (facts["name"], facts["role"], facts["idle_s"]) == ("Anna", "operator", IDLE_S)
    assert (state.status_code, decisions.status_code) == (200, 200)
    assert [(one.subject, one.key_id, one.tenant, one.role, one.how) for one in noted] == [
        ("anna", "", "school", "operator", "oidc")
    ]


async def test_a_session_of_a_person_asks_no_model_and_no_other_page_uses_it(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.person["groups"] = "staff"
        await log_in(client)
        others = {
            (await client.post(path, headers=OWN_PAGE)).status_code
            for path, scope in NEEDED.items()
            if scope == "inference" and "{" not in path and path not in ROUTES
        }
        elsewhere = await client.get(STATE, headers={"sec-fetch-site": "cross-site"})
        left = await client.request("DELETE", SESSION, headers=OWN_PAGE)
        after = await client.get(STATE)

    assert others == {401}
    assert [one.status_code for one in (elsewhere, left, after)] == [403, 200, 401]


async def test_whom_no_rule_names_is_nobody_here_and_goes_on_record(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.person |= {"sub": "mallory", "groups": ["pupils"]}
        answer = await log_in(client)
        refusals = made.refusals()
        after = await client.get(STATE)

    assert refused_with(answer) == "not_known"
    assert after.status_code == 401
    assert refusals == [("not_known", BACK)]  # and not who it was


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": [CLIENT_ID, "another"]},  # and no `azp`
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"iss": "http://127.0.0.1:1"},
        {"exp": 1_800_000_000 - SKEW_S - 1},
        {"exp": None},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"iat": 1_800_000_000 + SKEW_S + 60},
        {"sub": None},
        {"sub": "a\nb"},
        {"at_hash": "AAAA"},
    ],
)
async def test_an_id_token_that_is_not_for_this_login_is_refused(tmp_path: Path, claims: dict[str, Any]) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.claims = claims
        answer = await log_in(client)

    assert refused_with(answer) == "token_refused"


@pytest.mark.parametrize("sign", [unsigned, signed_with_what_is_public, signed_by_another])
async def test_a_token_that_the_issuers_key_did_not_sign_is_refused(tmp_path: Path, sign: Any) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.sign = sign
        answer = await log_in(client)

    assert refused_with(answer) == "token_refused"


async def test_what_comes_back_counts_for_the_browser_that_began_and_once(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client, made.browser() as other:
        back = await go_off(client)
        stolen = await other.get(back)
        wrong_state = await client.get(f"{BACK}?code=x&state=another")
        after_that = await client.get(back)  # the login is over, whatever came of it
        fine = await go_off(client)
        cookies = {"cookie": f"{BROWSER}={client.cookies[BROWSER]}"}
        first = await client.get(fine)
        again = await other.get(fine, headers=cookies)
        exchanges = made.issuer.asked.count("/token")

    assert [refused_with(one) for one in (stolen, wrong_state, after_that, again)] == ["login_lost"] * 4
    assert (first.headers["location"], exchanges) == ("/dashboard/", 1)


async def test_a_code_that_was_used_is_refused_by_the_issuer(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        used = parse_qs(urlsplit(await go_off(client)).query)["code"][0]
        made.issuer.codes.clear()
        state = parse_qs(urlsplit(await go_off(client)).query)["state"][0]
        answer = await client.get(f"{BACK}?code={used}&state={state}")

    assert refused_with(answer) == "code_refused"


async def test_a_login_that_took_too_long_is_over(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        back = await go_off(client)
        made.clock.advance(LASTS_S)
        answer = await client.get(back)

    assert refused_with(answer) == "login_lost"


@pytest.mark.parametrize(
    ("answer", "code"),
    [({"iss": "https://evil.example"}, "issuer_wrong"), ({"error": "access_denied"}, "issuer_refused")],
)
async def test_an_answer_of_another_issuer_or_a_refusal_lets_nobody_in(
    tmp_path: Path, answer: dict[str, str], code: str
) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.answer = answer
        refused = await log_in(client)
        exchanges = made.issuer.asked.count("/token")

    assert (refused_with(refused), exchanges) == (code, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "https://evil.example/token"},
        {"jwks_uri": "http://127.0.0.1:1/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://127.0.0.1@evil.example/"},
        {"jwks_uri": 7},
    ],
)
async def test_a_discovery_document_leads_nowhere_else(tmp_path: Path, changed: dict[str, Any]) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.discovery = changed
        answer = await client.get(OFF)
        asked = list(made.issuer.asked)

    assert (refused_with(answer), asked) == ("issuer_wrong", ["/.well-known/openid-configuration"])


async def test_where_the_browser_goes_is_never_taken_from_a_request(tmp_path: Path) -> None:
    evil = "https://evil.example/"
    async with school(tmp_path) as made, made.browser() as client:
        off = await client.get(f"{OFF}?next={evil}&redirect_uri={evil}&here={evil}")
        named = await client.get(OFF, headers={"host": "localhost:1"})
        back = await go_off(client)
        done = await client.get(f"{back}&next={evil}&redirect_uri={evil}")

    asked = parse_qs(urlsplit(off.headers["location"]).query)
    assert off.headers["location"].startswith(f"{made.issuer.url}/authorize?")
    assert asked["redirect_uri"] == [f"{made.running.base_url}{BACK}"]
    assert named.headers["location"] == f"{made.running.base_url}{OFF}?here"
    assert done.headers["location"] == "/dashboard/"


async def test_an_issuer_that_is_away_is_told_and_keys_work_without_it(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.issuer.away = True
        down, soon = await client.get(OFF), await client.get(OFF)
        asked = len(made.issuer.asked)
        by_key = await client.post(SESSION, json={"key": KEYS["display"]})
        made.issuer.away = False
        made.clock.advance(PATIENCE_S)
        back = await go_off(client)
        made.issuer.away = True
        lost = await client.get(back)

    assert [refused_with(one) for one in (down, soon, lost)] == ["issuer_down"] * 3
    assert (asked, by_key.status_code) == (1, 200)


async def test_the_issuers_keys_are_kept_and_asked_for_again_when_it_signs_with_another(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        for _ in range(2):
            assert (await log_in(client)).headers["location"] == "/dashboard/"
        kept = made.issuer.asked.count("/keys")
        made.issuer.turn_key()
        early = await log_in(client)
        made.clock.advance(KEYS_AGAIN_S)
        late = await log_in(client)

    assert (kept, made.issuer.asked.count("/.well-known/openid-configuration")) == (1, 1)
    assert (refused_with(early), late.headers["location"]) == ("token_refused", "/dashboard/")


async def test_a_session_ends_when_it_is_idle_and_at_its_time_however_much_it_is_used(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client, made.browser() as other:
        await log_in(client)
        await log_in(other)
        seen: list[int] = []
        for _ in range(5):
            made.clock.advance(IDLE_S - 1)
            seen.append((await client.get(STATE)).status_code)
        idle = await other.get(STATE)

    assert seen == [200, 200, 200, 200, 401]  # 3,600 s
    assert idle.status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"people": RULES[:1]},
        {"refused": ("anna",)},
        {"issuer": "https://another.example"},
        {"client_id": "another"},
        None,
    ],
)
async def test_a_change_of_the_configuration_ends_sessions_and_their_streams(
    tmp_path: Path, changed: dict[str, Any] | None
) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        await log_in(client)
        async with client.stream("GET", "/api/v1/events") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            made.configure(None if changed is None else replace(made.login, **changed))
            rest = [line async for line in lines]
        after = await client.get(STATE)

    assert any(line == "event: snapshot" for line in rest)
    assert after.status_code == 401


async def test_where_no_issuer_is_named_nothing_leads_to_one(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        made.configure(None)
        answers = [await client.get(path) for path in (OFF, f"{BACK}?code=x&state=y")]
        ways = await client.get("/dashboard/ways")

    assert [refused_with(one) for one in answers] == ["login_off"] * 2
    assert (ways.json(), made.issuer.asked) == ({}, [])


async def test_a_proxy_of_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with school(tmp_path) as made, made.browser() as client:
        answer = await log_in(client)

    assert answer.headers["location"] == "/dashboard/"


async def test_a_login_opens_connections_to_the_issuer_and_to_nobody_else(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        with connections() as opened:
            answer = await log_in(client)
        issuer, own = urlsplit(made.issuer.url), urlsplit(made.running.base_url)

    assert answer.headers["location"] == "/dashboard/"
    assert {(issuer.hostname, issuer.port)} <= opened <= {(one.hostname, one.port) for one in (issuer, own)}


def test_a_gateway_loads_no_library_of_logins_before_somebody_logs_in() -> None:
    program = "import sys, router.service; print({'authlib', 'joserfc'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert loaded.stdout.strip() == "set()"


async def test_a_client_secret_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    async with school(tmp_path) as made, made.browser() as client:
        (made.running.paths.secrets / "oidc").chmod(0o644)
        answer = await log_in(client)

    assert refused_with(answer) == "issuer_wrong"
    assert "/token" not in made.issuer.asked
