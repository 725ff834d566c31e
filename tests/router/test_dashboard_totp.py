"""Second factors at the dashboard's login: who is asked for a code, which counts, and what a guesser is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pyotp
import pytest

from cluster.roles import Role
from cluster.totp import STEP_S, secret_of
from router.second_factor import LOCKED_S, MOST_WRONG
from support.callers import KEYS, WRONG_KEY, records
from support.gateway import PEPPER, Running, access_with, engine_at, running_gateway
from support.manual_clock import ManualClock
from support.upstream import answer_kindly, scripted_upstream

SESSION, STATE = "/dashboard/session", "/api/v1/state"
SALT = "5a" * 16
CHAT = {"model": "toy", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Guarded:
    """A gateway where the operator's key has a second factor, and its authenticator app."""

    running: Running
    clock: ManualClock
    sequence: int = 1

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(secret_of(PEPPER.encode(), SALT)).at(int(self.clock.wall_s()) + steps * STEP_S)

    def configure(self, salt: str | None = SALT, roles: tuple[Role, ...] = ()) -> None:
        self.sequence += 1
        keys = [replace(one, totp=salt) if one.role == "operator" else one for one in records()]
        access = replace(access_with(self.running.paths, keys, sequence=self.sequence), second_factor=roles)
        self.running.view.install_access(access)

    def refusals(self) -> list[str]:
        return [one.cause for one in self.running.gateway.dispatcher.refusals.take()]


@asynccontextmanager
async def guarded(root: Path, clock: ManualClock | None = None) -> AsyncIterator[Guarded]:
    clock = clock or ManualClock()
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(root, [engine_at(upstream.address)], clock=clock) as running,
    ):
        made = Guarded(running, clock)
        made.configure()
        yield made


async def log_in(client: httpx2.AsyncClient, code: str | None = None, who: str = "operator") -> str:
    """What came of it: a role, or the code of the refusal."""
    body = {"key": KEYS[who]} | ({} if code is None else {"code": code})
    answer = await client.post(SESSION, json=body)
    said = answer.json()
    return str(said["role"] if answer.status_code == 200 else said["error"]["code"])


async def test_a_key_with_a_second_factor_logs_in_with_a_code_and_asks_models_without_one(tmp_path: Path) -> None:
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        alone, first = await log_in(client), made.refusals()
        closed = await client.get(STATE)
        both = await log_in(client, made.code())
        opened = await client.get(STATE)
        noted = [(one.key_id, one.how) for one in made.running.gateway.dashboard.door.notes.first()]
        other = await log_in(client, who="display")
        async with made.running.http(KEYS["operator"]) as program:
            answers = [await program.post("/v1/chat/completions", json=CHAT), await program.get(STATE)]

    assert (alone, closed.status_code, both, opened.status_code) == ("totp_needed", 401, "operator", 200)
    assert first == []  # that a code was still to come is no refusal
    assert noted == [("operator", "key+totp")]
    assert (other, [one.status_code for one in answers]) == ("display", [200, 200])


async def test_a_wrong_key_is_not_told_that_there_is_a_second_factor(tmp_path: Path) -> None:
    wrong = KEYS["operator"][:-1] + "x"
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        answers = [await client.post(SESSION, json={"key": key, "code": made.code()}) for key in (wrong, WRONG_KEY)]

    assert {one.json()["error"]["code"] for one in answers} == {"invalid_api_key"}


async def test_a_code_counts_once_also_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with guarded(tmp_path, clock) as made, made.running.http(None) as client:
        code = made.code()
        assert await log_in(client, code) == "operator"
        again, before = await log_in(client, code), await log_in(client, made.code(-1))
        refusals = made.refusals()
    async with guarded(tmp_path, clock) as made, made.running.http(None) as client:
        restarted = await log_in(client, code)
        clock.advance(STEP_S)
        late, fresh = await log_in(client, code), await log_in(client, made.code())

    assert [again, before, restarted, late] == ["code_used"] * 4
    assert refusals == ["code_used"]  # the first of a kind at once, the second within a minute as a number
    assert fresh == "operator"


@pytest.mark.parametrize(("steps", "said"), [(-2, "wrong_code"), (-1, "operator"), (1, "operator"), (2, "wrong_code")])
async def test_clocks_may_be_half_a_minute_apart(tmp_path: Path, steps: int, said: str) -> None:
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        assert await log_in(client, made.code(steps)) == said


async def test_after_a_few_wrong_codes_nobody_may_try_for_a_while(tmp_path: Path) -> None:
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        near = {made.code(steps) for steps in (-1, 0, 1)}
        wrong = next(code for number in range(4) if (code := f"{number:06}") not in near)
        tried = [await log_in(client, wrong) for _ in range(MOST_WRONG)]
        right = await client.post(SESSION, json={"key": KEYS["operator"], "code": made.code()})
        other = await log_in(client, who="display")
        made.clock.advance(LOCKED_S)
        later = await log_in(client, made.code())

    assert tried == ["wrong_code"] * MOST_WRONG
    assert (right.status_code, right.json()["error"]["code"]) == (429, "too_many_codes")
    assert int(right.headers["retry-after"]) > LOCKED_S - 1
    assert (other, later) == ("display", "operator")


@pytest.mark.parametrize("code", ["12345", "1234567", "12345x", "１２３４５６", "123456\n"])
async def test_what_is_no_code_is_a_bad_request(tmp_path: Path, code: str) -> None:
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        answer = await client.post(SESSION, json={"key": KEYS["operator"], "code": code})

    assert answer.status_code == 400


async def test_a_role_that_needs_one_gets_in_with_no_key_that_has_none(tmp_path: Path) -> None:
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        made.configure(salt=None, roles=("operator",))
        answer = await client.post(SESSION, json={"key": KEYS["operator"]})
        made.configure(roles=("operator",))
        with_one = await log_in(client, made.code())

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "totp_not_set")
    assert "potluck keys totp operator" in answer.json()["error"]["message"]
    assert with_one == "operator"


async def test_sessions_from_before_a_factor_was_turned_on_or_replaced_end(tmp_path: Path) -> None:
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        made.configure(salt=None)
        assert await log_in(client) == "operator"
        made.configure()
        turned_on = await client.get(STATE)
        assert await log_in(client, made.code()) == "operator"
        made.configure()
        same = await client.get(STATE)
        made.configure(salt="6b" * 16)
        replaced = await client.get(STATE)

    assert [one.status_code for one in (turned_on, same, replaced)] == [401, 200, 401]


async def test_a_factor_that_was_taken_away_leaves_sessions_alone(tmp_path: Path) -> None:
    async with guarded(tmp_path) as made, made.running.http(None) as client:
        await log_in(client, made.code())
        made.configure(salt=None)
        after = await client.get(STATE)

    assert after.status_code == 200
