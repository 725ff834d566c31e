"""Every action of an operator is on record before it is answered, and where it cannot be, it is not done."""

import asyncio
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.routing import Route

import cluster
from cli.checks.finding import Result
from cli.checks.records import check_audit
from cli.checks.situation import look_around
from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.audit_api import add_audit_routes
from cluster.audit_reading import AuditReader
from cluster.audit_records import AuditRecord, decode
from cluster.audit_rules import READING, RULES
from cluster.audit_subjects import SubjectKeys
from cluster.audit_trail import open_trail
from cluster.controller import ControllerTimes
from cluster.key_order import KeyOrder
from cluster.service import HeadSettings
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.secret_files import read_secret
from nodes.unix_server import unix_client
from support.cluster_facts import held, node
from support.fake_node import FakeNode
from support.heads import running_head

BODIES: dict[str, object] = {
    "/api/v1/config": {"text": "version: 1\nmodels: {secret-canary: {source: packaged:other}}\n"},
    "/api/v1/tokens": {"node": "mac", "ttl_s": 60},
    "/api/v1/nodes/{name}/labels": {"changes": {"rack": "a"}},
    "/api/v1/keys": {"name": "anna", "group": "family"},
    "/api/v1/audit/erase": {"subject": "key:anna"},
    "/api/v1/pii/reveal": {"token": "[IBAN_1f3a0c5be2d49a77]"},
}


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


def head(paths: StatePaths) -> AbstractAsyncContextManager[AdminClient]:
    settings = HeadSettings(paths, times=ControllerTimes(tick_s=0.02))
    return running_head(settings, [FakeNode(node("box", [held("smol")]))])


def records(paths: StatePaths) -> list[AuditRecord]:
    with closing(AuditReader.open(paths.audit_db)) as reader:
        return [decode(link.body) for link in reader.links()]


def declared() -> set[tuple[str, str]]:
    """Every route that any module of the head declares for /api/v1 and that changes something."""
    app = FastAPI()
    for name in {module.name for module in pkgutil.iter_modules(cluster.__path__)} - {"ray_fabric"}:  # imports Ray
        for adding in _adding(importlib.import_module(f"cluster.{name}")):
            adding(app, *([None] * (len(inspect.signature(adding).parameters) - 1)))
    routes = [route for route in app.routes if isinstance(route, Route) and route.path.startswith("/api/v1")]
    return {(method, route.path) for route in routes for method in (route.methods or ()) if method not in READING}


def _adding(module: Any) -> list[Callable[..., None]]:
    """Its `add_x_routes`, and the parts of `admin_app`: they take the app, and look at nothing else yet."""
    pattern = re.compile(r"add_\w+_routes|_add_changing")
    found = [value for name, value in vars(module).items() if pattern.fullmatch(name)]
    return [value for value in found if inspect.getmodule(value) is module]


def test_every_route_that_changes_something_has_a_rule_of_its_own() -> None:
    assert declared() == set(RULES)


async def test_each_action_is_recorded_before_and_after_and_nothing_else_is(paths: StatePaths) -> None:
    answers: dict[tuple[str, str], int] = {}
    async with head(paths), unix_client(paths.head_socket) as raw:
        for method, path in RULES:
            body = BODIES.get(path)
            answer = await raw.request(method, path.replace("{name}", "box"), json=body)
            answers[method, path] = answer.status_code
    told = [record for record in records(paths) if record.actor.kind == "operator"]

    expected = [(rule.action, outcome(answers[route])) for route, rule in RULES.items() if rule is not None]
    assert [(record.action, record.outcome) for record in told[::2]] == [(action, "begun") for action, _ in expected]
    assert [(record.action, record.outcome) for record in told[1::2]] == expected
    assert all(one.request_id == other.request_id for one, other in zip(told[::2], told[1::2], strict=True))
    assert {record.node for record in told} == {"box"}
    assert sum(outcome == "done" for _, outcome in expected) >= 6


def outcome(status: int) -> str:
    return "done" if status < 400 else "refused"


async def test_a_route_without_a_rule_is_recorded_all_the_same_and_no_route_is_no_action(paths: StatePaths) -> None:
    app, trail = FastAPI(), open_trail(paths, "box", 1.0, SystemClock())

    @app.post("/api/v1/brand/{name}")
    async def brand(name: str) -> dict[str, str]:
        return {"name": name}

    add_audit_routes(app, trail, paths.audit_subjects_db, None)
    async with _client(app) as client:
        answers = [await client.post(f"/api/v1/{path}") for path in ("brand/new", "nothing")]
    trail.close()

    assert [answer.status_code for answer in answers] == [200, 404]
    assert [(one.action, one.outcome, one.target) for one in records(paths)] == [
        ("admin.other", "begun", "/api/v1/brand/{name}"),
        ("admin.other", "done", "/api/v1/brand/{name}"),
    ]


async def test_an_action_whose_outcome_cannot_be_written_is_on_record_as_begun_and_says_so(paths: StatePaths) -> None:
    app, trail = FastAPI(), open_trail(paths, "box", 1.0, SystemClock())

    @app.post("/api/v1/nodes/{name}/cordon")
    async def cordon(name: str) -> dict[str, str]:
        trail.close()
        return {"name": name}

    @app.post("/api/v1/nodes/{name}/drain")
    async def drain(name: str) -> dict[str, str]:
        raise AssertionError("nobody may get here")

    add_audit_routes(app, trail, paths.audit_subjects_db, None)
    async with _client(app) as client:
        half, refused = [await client.post(f"/api/v1/nodes/box/{verb}") for verb in ("cordon", "drain")]

    assert (half.status_code, half.json()["error"]["code"]) == (503, "audit_unavailable")
    assert "node.cordon was carried out, but" in half.json()["error"]["message"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "audit_unavailable")
    assert [(one.action, one.outcome) for one in records(paths)] == [("node.cordon", "begun")]


def _client(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://potluck")


async def test_records_hold_what_may_be_told_and_names_only_under_a_key_that_can_be_erased(paths: StatePaths) -> None:
    async with head(paths) as client, unix_client(paths.head_socket) as raw:
        await raw.post("/api/v1/config", json=BODIES["/api/v1/config"])
        made = await raw.post("/api/v1/keys", json=BODIES["/api/v1/keys"])
        await client.set_labels("box", {"rack": "a"})
        key_told = next(
            record for record in records(paths) if (record.action, record.outcome) == ("key.create", "done")
        )
        with closing(SubjectKeys.open(paths.audit_subjects_db)) as subjects:
            named = subjects.unseal(key_told)
            pseudonym = await client.erase_subject("key:anna")
            erased = subjects.unseal(key_told)
        with pytest.raises(AdminRefusedError, match="knows no such subject"):
            await client.erase_subject("key:anna")
    told = {(record.action, record.outcome): dict(record.details) for record in records(paths)}
    content = paths.audit_db.read_bytes()

    assert set(told["config.apply", "done"]) == {"text_sha256", "status", "revision", "changed"}
    assert told["node.label", "done"]["changes"] == '{"rack":"a"}'
    assert told["key.create", "done"]["key_id"] == made.json()["facts"]["key_id"]
    assert dict(named) == {"name": "anna", "group": "family"}
    assert dict(erased) == {"name": "erased", "group": "erased"}
    assert told["audit.erase", "done"]["pseudonym"] == pseudonym
    secrets = (made.json()["key"], read_secret(paths.owner_key), "secret-canary", "anna")
    assert not any(secret.encode() in content for secret in secrets)


async def test_without_an_audit_actions_are_refused_reading_goes_on_and_it_recovers_by_itself(
    paths: StatePaths,
) -> None:
    paths.audit_db.mkdir(mode=0o700)  # nothing can be written there
    async with head(paths) as client:
        before = read_secret(paths.owner_key)
        with pytest.raises(AdminRefusedError, match="nothing is done that needs a record") as caught:
            await client.rotate_owner()
        config, unchanged = await client.config(), read_secret(paths.owner_key) == before
        (told,) = await asyncio.to_thread(_doctor, paths)
        paths.audit_db.rmdir()
        await _rotated(client)
        (mended,) = await asyncio.to_thread(_doctor, paths)

    assert (caught.value.status, caught.value.code) == (503, "audit_unavailable")
    assert (config.revision, unchanged) == (1, True)
    assert (told.verdict, mended.verdict) == ("warn", "ok")
    assert "unable to open" in told.detail or "is a directory" in told.detail.lower()
    written = [(record.action, record.outcome) for record in records(paths)]
    assert written == [("key.rotate_owner", "begun"), ("key.rotate_owner", "done")]


def _doctor(paths: StatePaths) -> list[Result]:
    return list(check_audit(look_around(paths)))


async def _rotated(client: AdminClient) -> None:
    """Asks again as long as there is no audit."""
    while True:
        try:
            await client.rotate_owner()
        except AdminRefusedError as error:
            assert error.code == "audit_unavailable"
            await asyncio.sleep(0.05)
        else:
            return


async def test_gateways_tell_what_they_refused(paths: StatePaths) -> None:
    async with head(paths), unix_client(paths.head_socket) as raw:
        refusals = [{"cause": "wrong_key", "key_id": "abc", "count": 3}, {"cause": "missing_key", "count": 1}]
        answer = await raw.post("/api/v1/audit/refusals", json={"refusals": refusals})
    told = [record for record in records(paths) if record.action == "endpoint.refuse"]

    assert answer.json() == {"count": 2}
    assert [(record.actor.kind, record.actor.name, dict(record.details)["count"]) for record in told] == [
        ("key", "abc", 3),
        ("stranger", "", 1),
    ]


async def test_a_second_factor_is_on_record_and_its_secret_is_not(paths: StatePaths) -> None:
    async with head(paths) as client:
        key = (await client.create_key(KeyOrder("7b"))).facts.key_id
        made = await client.factor_on("7b")
        await client.factor_off("7b")
    told = [record for record in records(paths) if record.action.startswith("key.totp")]
    secret = made.address.partition("secret=")[2].partition("&")[0]

    assert [(record.action, record.outcome) for record in told] == [
        ("key.totp_on", "begun"),
        ("key.totp_on", "done"),
        ("key.totp_off", "begun"),
        ("key.totp_off", "done"),
    ]
    assert [dict(record.details).get("key_id") for record in told] == [None, key, None, key]
    assert len(secret) == 32
    assert not any(secret.encode() in file.read_bytes() for file in paths.root.rglob("*") if file.is_file())
