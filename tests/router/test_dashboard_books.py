"""What the dashboard shows and does for whoever runs the cluster, at the real gateway and a real head."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient
from cluster.audit_wire import AuditQuestion
from cluster.key_order import KeyOrder
from cluster.limits import GroupLimits, LimitRules, Limits
from cluster.roles import SCOPES_OF
from cluster.service import HeadSettings
from inventory.catalog import ModelName
from inventory.clock import SystemClock
from inventory.hardware import Disk
from nodes.snapshot import PullSnapshot
from router.dashboard.cookie import ROUTES
from router.dashboard.happenings import ejection
from router.dashboard.shelf import Copy, shelf_of
from router.permissions import NEEDED
from support.callers import KEYS, records
from support.cluster_facts import engine, held, model_ref, node, pool
from support.fake_node import FakeNode
from support.gateway import Running, access_with, cluster_of, engine_at, key_record, running_gateway
from support.heads import running_head
from support.records import a_record, written
from support.upstream import answer_kindly, scripted_upstream

OWN_PAGE = {"x-potluck-dashboard": "1", "sec-fetch-site": "same-origin"}
ACTS = sorted(path for path in ROUTES if NEEDED.get(path) == "operate" and "{name}" in path)


@asynccontextmanager
async def house(root: Path) -> AsyncIterator[tuple[Running, AdminClient, FakeNode]]:
    """A gateway beside a head that has one machine, which holds `smollm2` and is called `box`."""
    machine = FakeNode(node("box", [held("smollm2")], pools=[pool("ram", 64)]))
    async with running_gateway(root, [engine_at(None)]) as running:
        running.view.install_access(access_with(running.paths, records(), sequence=2))
        async with running_head(HeadSettings(running.paths), [machine]) as head:
            yield running, head, machine


def named(path: str) -> str:
    return path.replace("{name}", "box" if "/nodes/" in path else "smollm2")


async def test_the_frontier_is_what_the_head_says(tmp_path: Path) -> None:
    question = {"model": "smollm2", "users": 2}
    async with house(tmp_path) as (running, head, _), running.http(KEYS["display"]) as client:
        direct = await head.frontier(question)
        answer = await client.post("/api/v1/fit/frontier", json=question)
        unknown = await client.post("/api/v1/fit/frontier", json={"model": "nothing-like-it"})

    assert answer.status_code == 200
    assert [row["node"] for row in answer.json()["rows"]] == [row.node for row in direct.rows] == ["box"]
    assert answer.json()["rows"][0]["points"][0]["users_alone"] == direct.rows[0].points[0].users_alone
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ACTS)
async def test_an_operators_session_acts_and_is_on_record_by_its_key(tmp_path: Path, path: str) -> None:
    async with house(tmp_path) as (running, head, _), running.http(None) as client:
        await client.post("/dashboard/session", json={"key": KEYS["operator"]})
        answer = await client.post(named(path), headers=OWN_PAGE)
        shown = (await head.audit_records(AuditQuestion(1))).records[0].record

    assert (answer.status_code, answer.json()["done"]) == (200, True)
    assert (shown.action.split(".")[1], shown.outcome, shown.target) == (
        path.rpartition("/")[2], "done", answer.json()["name"],
    )  # fmt: skip
    assert (shown.actor.kind, shown.actor.name, shown.actor.role) == ("key", "operator", "operator")


@pytest.mark.parametrize("who", ["display", "user"])
async def test_whoever_may_not_operate_changes_nothing(tmp_path: Path, who: str) -> None:
    async with house(tmp_path) as (running, head, _), running.http(None) as client:
        await client.post("/dashboard/session", json={"key": KEYS[who]})
        answers = [await client.post(named(path), headers=OWN_PAGE) for path in ACTS]
        kept = (await head.snapshot()).nodes[0].duty
        on_record = {one.record.action for one in (await head.audit_records(AuditQuestion())).records}

    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(403, "missing_scope")}
    assert kept == "serve"
    assert not {action for action in on_record if action.startswith(("node.", "model."))}


async def test_no_other_page_acts_in_an_operators_name(tmp_path: Path) -> None:
    async with house(tmp_path) as (running, head, _), running.http(None) as client:
        await client.post("/dashboard/session", json={"key": KEYS["operator"]})
        strange: list[Mapping[str, str]] = [{}, {"x-potluck-dashboard": "1"}, {"sec-fetch-site": "same-origin"}]
        strange += [OWN_PAGE | {"sec-fetch-site": "cross-site"}, OWN_PAGE | {"origin": "http://elsewhere"}]
        answers = [await client.post(named(path), headers=headers) for path in ACTS for headers in strange]
        kept = (await head.snapshot()).nodes[0].duty

    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(403, "cross_site")}
    assert kept == "serve"


async def test_what_the_head_does_not_know_is_said_in_its_words(tmp_path: Path) -> None:
    async with house(tmp_path) as (running, _, _), running.http(KEYS["admin"]) as client:
        machine = await client.post("/api/v1/nodes/nix/drain")
        model = await client.post("/api/v1/models/nix/unload")

    for answer in (machine, model):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "no machine called nix" in machine.json()["error"]["message"]
    assert "no model called nix" in model.json()["error"]["message"]


async def test_keys_are_told_with_their_limits_and_what_counts_and_never_with_a_secret(tmp_path: Path) -> None:
    rules = LimitRules("", Limits(), (("family", GroupLimits(total=Limits(requests_per_day=100))),))
    async with house(tmp_path) as (running, head, _), scripted_upstream(answer_kindly) as upstream:
        made = await head.create_key(KeyOrder("anna", group="family", limits=Limits(requests_per_minute=9)))
        gone = await head.create_key(KeyOrder("gone", group="family"))
        await head.revoke_key("gone")
        running.view.install_cluster(cluster_of([engine_at(upstream.address)], sequence=2))
        anna = replace(
            key_record(made.key), key_id=made.facts.key_id, role="user", group="family", tenant="default",
            limits=Limits(requests_per_minute=9),
        )  # fmt: skip
        access = access_with(running.paths, [*records(), anna], sequence=3)
        running.view.install_access(replace(access, limits=rules))
        async with running.http(made.key) as client:
            await client.post(
                "/v1/chat/completions", json={"model": "toy", "messages": [{"role": "user", "content": "hi"}]}
            )
        await running.until_idle()
        async with running.http(KEYS["operator"]) as client:
            answer = await client.get("/api/v1/keys")

    rows = {row["name"]: row for row in answer.json()["keys"]}
    assert rows["anna"]["limits"] == [{"name": "requests_per_minute", "limit": 9, "used": 1}]
    assert (rows["anna"]["state"], rows["anna"]["scopes"]) == ("valid", sorted(SCOPES_OF["user"]))
    assert (rows["gone"]["state"], "limits" in rows["gone"]) == ("revoked", False)
    (group,) = [one for one in answer.json()["groups"] if one["name"] == "family"]
    assert (group["keys"], group["limits"]) == (1, [{"name": "requests_per_day", "limit": 100, "used": 1}])
    for secret in (made.key, gone.key, anna.digest_hex):
        assert secret not in answer.text


async def test_usage_is_summed_by_whatever_is_asked_for(tmp_path: Path) -> None:
    now_s = SystemClock().wall_s()
    async with running_gateway(tmp_path, [engine_at(None)]) as running, running.http() as client:
        none = await client.get("/api/v1/usage")
        written(
            running.paths.telemetry_db,
            a_record(1, key_id="a", model="small", arrived_wall_s=now_s),
            a_record(2, key_id="a", model="large", arrived_wall_s=now_s),
            a_record(3, key_id="b", model="large", arrived_wall_s=now_s - 50 * 3600),
        )
        by_key = (await client.get("/api/v1/usage?by=key&hours=72")).json()
        lately = (await client.get("/api/v1/usage?by=day,model&hours=24&key=a")).json()
        wrong = [await client.get(f"/api/v1/usage?{query}") for query in ("by=key,key", "by=colour", "hours=0")]

    assert (none.status_code, none.json()["rows"]) == (200, [])
    assert {row["of"]["key"]: row["sums"]["requests"] for row in by_key["rows"]} == {"a": 2, "b": 1}
    assert (by_key["total"]["input_tokens"], by_key["total"]["output_tokens"]) == (30, 9)
    assert {row["of"]["model"] for row in lately["rows"]} == {"small", "large"}
    assert lately["total"]["requests"] == 2
    assert [answer.status_code for answer in wrong] == [400, 400, 400]


async def test_the_audit_is_shown_page_by_page_with_its_verdict(tmp_path: Path) -> None:
    async with house(tmp_path) as (running, head, _), running.http(KEYS["admin"]) as client:
        await head.set_duty("box", "cordon")
        first = (await client.get("/api/v1/audit?limit=1&action=node")).json()
        rest = (await client.get(f"/api/v1/audit?action=node&before={first['before']}")).json()
        verdict = (await client.get("/api/v1/audit/verdict")).json()
        wrong = await client.get("/api/v1/audit?outcome=perhaps")

    assert [(row["action"], row["outcome"], row["target"]) for row in first["rows"] + rest["rows"]] == [
        ("node.cordon", "done", "box"),
        ("node.cordon", "begun", "box"),
    ]
    assert first["rows"][0]["actor"]["kind"] == "operator"
    assert (verdict["finding"], verdict["first"]) == (None, 1)
    assert wrong.status_code == 400


async def test_without_a_head_the_books_say_so(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [engine_at(None)]) as running, running.http() as client:
        answers = [await client.get(path) for path in ("/api/v1/keys", "/api/v1/audit", "/api/v1/audit/verdict")]
        answers += [await client.post(named(path)) for path in ACTS]
        shelf = await client.get("/api/v1/artifacts")

    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(503, "head_away")}
    assert all("retry-after" in one.headers for one in answers)
    assert shelf.status_code == 200


async def test_a_gateway_that_has_heard_nothing_has_no_shelf(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        running.view.cluster = None
        answer = await client.get("/api/v1/artifacts")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


def test_the_shelf_has_each_artifact_once_with_its_copies_and_who_has_it_loaded() -> None:
    both = replace(held("smollm2", 5), licence="Apache-2.0", source="packaged:smollm2")
    other = held("smollm2", 7, "safetensors", "2")
    pull = PullSnapshot(both.ref.name, both.ref.artifact_id, "gguf", "copying", None, 2, 5, "")
    named_twice = replace(both, ref=replace(both.ref, name=ModelName("again")))
    here = node("here", [both, other, named_twice], engines=[engine("smollm2.here.1", ref=model_ref("smollm2"))])
    here = replace(here, hardware=replace(here.hardware, disk=Disk("/models", 100, 40)))
    there = replace(node("there", [both]), pulls=(pull,))
    snapshot = cluster_of([engine_at(None)], ("toy",))
    (view,) = snapshot.nodes
    views = tuple(replace(view, node_id=one.node_id, snapshot=one) for one in (here, there))
    shelf = shelf_of(replace(snapshot, nodes=views))

    gguf, tensors = shelf.models["smollm2"].artifacts
    assert gguf.copies == (Copy("here", 1_700_000_000, ("smollm2.here.1",)), Copy("there", 1_700_000_000))
    assert shelf.models["again"].artifacts[0].copies == (Copy("here", 1_700_000_000),)
    assert (gguf.licence, gguf.source, tensors.size_bytes, tensors.copies[0].engines) == (
        "Apache-2.0", "packaged:smollm2", 7, (),
    )  # fmt: skip
    assert [(one.node, one.state, one.done_bytes) for one in shelf.models["smollm2"].pulls] == [("there", "copying", 2)]
    assert (shelf.models["smollm2"].configured, shelf.models["toy"].configured) == (False, True)
    assert {name: (disk.free_bytes, disk.models_bytes) for name, disk in shelf.disks.items()} == {"here": (40, 12)}


async def test_an_engine_that_this_gateway_ejects_is_among_the_events(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        (candidate,) = running.view.candidates()
        running.gateway.dispatcher.context.health.eject(candidate, "refused the connection")
        told = (await client.get("/api/v1/state")).json()["events"]

    (event,) = [one for one in told if one["kind"] == "engine_ejected"]
    assert (event["node"], event["model"]) == ("here", "toy")
    assert "refused the connection" in event["text"]


def test_an_engine_that_is_back_is_told_so() -> None:
    event = ejection(1.0, "toy-1", ("here", "toy"), None)

    assert (event.kind, event.node, event.model) == ("engine_readmitted", "here", "toy")
    assert json.dumps(event.text).count("made a token") == 1


def test_whoever_may_operate_may_look_first() -> None:
    for role, scopes in SCOPES_OF.items():
        assert "operate" not in scopes or {"status.read", "usage.read"} <= scopes, role
    assert {role for role, scopes in SCOPES_OF.items() if "audit.read" in scopes} == {"admin"}
