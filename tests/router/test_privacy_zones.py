"""Privacy classes at the gateway: a filter before any score, for everything that could reach an engine."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx2

from cluster.privacy import ClassRule
from inventory.catalog import ModelName
from inventory.clock import SystemClock
from nodes.relay.contract import Address
from router.borders import borders_of, scope_of
from router.cache_store import CacheStore, kept_in
from router.data_class import classes_of
from router.decision import routing_table
from router.narrowing import within
from support.gateway import MODEL, Running, engine_at, running_gateway
from support.upstream import answer_kindly, scripted_upstream
from support.zones import CLASSES, HEADER, MEDICAL_KEY, let_in, machine, publish, zoned

CHAT, ASK = "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
HERE = Address("127.0.0.1", 1)
MEDICAL, BOTH = frozenset({"medical"}), frozenset({"medical", "staff"})


def test_what_is_left_of_a_model_says_why_the_rest_is_not() -> None:
    near = machine("near", "clinic", [engine_at(HERE, "a.near.1"), engine_at(HERE, "b.near.1", state="starting")])
    far = machine("far", "rented", [engine_at(HERE, "c.far.1"), engine_at(HERE, "d.far.1", state="backoff")])
    snapshot = zoned([near, far], 1)
    table, borders = routing_table(snapshot), borders_of(snapshot)
    whole = table.models[ModelName(MODEL)]
    left = within(borders, whole, BOTH)

    assert within(borders, whole, frozenset({"private"})) is whole
    assert [one.engine_id for one in left.candidates] == ["a.near.1"]
    assert dict(left.rejected) == {
        "b.near.1": "starting: for a test",
        "c.far.1": "outside its zones: its machine is in `rented`",
        "d.far.1": "outside its zones: its machine is in `rented`",
    }
    assert (borders.zones_of(BOTH), borders.zones_of(MEDICAL | {"gone"})) == (frozenset({"clinic"}), frozenset())


def test_what_is_kept_has_a_scope_of_its_own_for_each_set_of_classes() -> None:
    sets = [frozenset({"private"}), MEDICAL, BOTH, MEDICAL | {"private"}]

    assert len({scope_of("home", one) for one in sets}) == 4
    assert scope_of("home", sets[0]) == "home"


def test_a_header_that_comes_twice_adds_both_classes() -> None:
    assert classes_of([(b"x-potluck-data-class", b"a, b"), (b"host", b"x"), (b"x-potluck-data-class", b"c")]) == {
        "a", "b", "c",
    }  # fmt: skip


async def ask(running: Running, key: str | None = None, classes: str | None = None, **more: object) -> httpx2.Response:
    headers = {} if classes is None else {HEADER: classes}
    async with running.http(key) if key else running.http() as client:
        return await client.post(CHAT, json={**ASK, **more}, headers=headers)


def keep_answers(running: Running) -> None:
    snapshot = running.view.cluster
    assert snapshot is not None
    models = tuple(replace(model, answers_kept_s=600.0) for model in snapshot.models)
    running.view.install_cluster(replace(snapshot, sequence=snapshot.sequence + 1, models=models))


def seen(running: Running) -> Sequence[tuple[str, str, tuple[str, ...], str]]:
    """What the audit is to be told."""
    witness = running.gateway.dispatcher.context.witness
    found = [(one.node_id, one.zone, one.classes, one.deed) for one in witness.take()]
    witness.told()
    return found


async def test_a_request_goes_only_where_its_classes_may_and_who_got_it_is_noted(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as inside,
        scripted_upstream(answer_kindly) as outside,
        running_gateway(tmp_path, []) as running,
    ):
        let_in(running, {MEDICAL_KEY: "medical"})
        near = machine("near", "clinic", [engine_at(inside.address, "toy.near.1")])
        far = machine("far", "rented", [engine_at(outside.address, "toy.far.1", slots=64)])
        publish(running, near, far)
        bound = [await ask(running, MEDICAL_KEY) for _ in range(5)]
        named = [await ask(running, classes="staff, medical") for _ in range(5)]
        noted = seen(running)
        many = await asyncio.gather(*(ask(running) for _ in range(30)))
        unbound = seen(running)

    assert {answer.status_code for answer in (*bound, *named, *many)} == {200}
    assert {answer.headers["x-potluck-node"] for answer in (*bound, *named)} == {"near"}
    assert outside.asked and len(inside.asked) + len(outside.asked) == 40
    assert (
        noted
        == [("near", "clinic", ("medical",), "answered")] * 5
        + [("near", "clinic", ("medical", "private", "staff"), "answered")] * 5
    )
    assert unbound == []


async def test_no_eligible_machine_is_said_at_once_and_nothing_is_sent_elsewhere(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as outside, running_gateway(tmp_path, []) as running:
        let_in(running, {MEDICAL_KEY: "medical"})
        far = machine("far", "rented", [engine_at(outside.address, "toy.far.1")])
        publish(running, machine("near", "clinic"), far)
        refused = await ask(running, MEDICAL_KEY)
        streamed = await ask(running, MEDICAL_KEY, stream=True)

    error = refused.json()["error"]
    assert (refused.status_code, streamed.status_code, error["code"]) == (403, 403, "no_eligible_node")
    assert (
        "no machine of the zone `clinic` serves `toy`, and the privacy class `medical` may go nowhere"
        in error["message"]
    )
    assert not outside.asked


async def test_a_bound_request_waits_for_an_engine_in_its_zones_and_is_in_nobodys_way(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as inside,
        scripted_upstream(answer_kindly) as outside,
        running_gateway(tmp_path, []) as running,
    ):
        let_in(running, {MEDICAL_KEY: "medical"})
        far = machine("far", "rented", [engine_at(outside.address, "toy.far.1")])
        starting = engine_at(inside.address, "toy.near.1", state="starting")
        publish(running, machine("near", "clinic", [starting]), far)
        waiting = [asyncio.create_task(ask(running, MEDICAL_KEY)) for _ in range(6)]
        await running.until_waiting(6)
        passed = await asyncio.gather(*(ask(running) for _ in range(4)))
        assert running.waiting == 6
        publish(running, machine("near", "clinic", [engine_at(inside.address, "toy.near.1")]), far)
        answers = await asyncio.gather(*waiting)

    assert {answer.headers["x-potluck-node"] for answer in passed} == {"far"}
    assert {answer.headers["x-potluck-node"] for answer in answers} == {"near"}
    assert len(outside.asked) == 4


async def test_one_that_waits_is_refused_once_no_machine_of_its_zones_can_serve_it(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as outside, running_gateway(tmp_path, []) as running:
        let_in(running, {MEDICAL_KEY: "medical"})
        publish(running, machine("near", "clinic"), machine("far", "rented"), state="asleep")
        waiting = asyncio.create_task(ask(running, MEDICAL_KEY))
        await running.until_waiting(1)
        far = machine("far", "rented", [engine_at(outside.address, "toy.far.1")])
        publish(running, machine("near", "clinic"), far)
        answer = await waiting

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_eligible_node")
    assert not outside.asked


async def test_a_fail_over_stays_in_the_zones(tmp_path: Path) -> None:
    async def dies(asked: object, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with (
        scripted_upstream(dies) as broken,
        scripted_upstream(answer_kindly) as outside,
        running_gateway(tmp_path, []) as running,
    ):
        let_in(running, {MEDICAL_KEY: "medical"})
        near = machine("near", "clinic", [engine_at(broken.address, "toy.near.1")])
        far = machine("far", "rented", [engine_at(outside.address, "toy.far.1")])
        publish(running, near, far)
        answer = await ask(running, MEDICAL_KEY)

    assert answer.status_code in (502, 503)
    assert broken.asked and not outside.asked


async def test_classes_that_nobody_knows_or_that_are_gone_are_refused(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as inside, running_gateway(tmp_path, []) as running:
        let_in(running, {MEDICAL_KEY: "medical"})
        near = machine("near", "clinic", [engine_at(inside.address, "toy.near.1")])
        publish(running, near)
        unknown = await ask(running, classes="medicl")
        ugly = await ask(running, classes="medical,,")
        async with running.http() as client:
            twice = await client.post(CHAT, json=ASK, headers=[(HEADER, "medical"), (HEADER, "staff")])
        publish(running, near, classes=[ClassRule("private")])
        gone = await ask(running, MEDICAL_KEY)
        publish(running, machine("here", "office"), near)
        gateway = await ask(running, MEDICAL_KEY)

    codes = [(one.status_code, one.json()["error"]["code"]) for one in (unknown, ugly, twice, gone, gateway)]
    assert codes == [
        (400, "unknown_data_class"), (400, "invalid_data_class"), (400, "invalid_data_class"),
        (403, "unknown_data_class"), (403, "no_eligible_node"),
    ]  # fmt: skip
    assert "the gateway's own machine is in the zone `office`" in gateway.json()["error"]["message"]
    assert not inside.asked


async def test_answers_are_given_again_within_their_classes_only(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.db", SystemClock(), lambda: 1 << 20)
    try:
        async with (
            scripted_upstream(answer_kindly) as inside,
            running_gateway(tmp_path, [], cache=store) as running,
        ):
            let_in(running, {MEDICAL_KEY: "medical"})
            node = machine("near", "clinic", [engine_at(inside.address, "toy.near.1")])
            publish(running, node)
            keep_answers(running)
            for key in (None, MEDICAL_KEY):
                await ask(running, key)
                store.flush()
            again = [await ask(running, key) for key in (None, MEDICAL_KEY)]
            publish(running, machine("near", "office"), classes=CLASSES)  # it moved: medical may not stay here
            store.flush()
            left = kept_in(tmp_path / "cache.db")
    finally:
        store.close()

    assert [answer.headers["x-potluck-cache"] for answer in again] == ["hit", "hit"]
    assert len(inside.asked) == 2
    assert [one.entries for one in left] == [1]
