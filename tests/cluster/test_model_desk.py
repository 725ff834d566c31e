"""Models that an operator unloads and loads: away until he says otherwise, and on record in his name."""

from contextlib import AbstractAsyncContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.audit_reading import AuditReader
from cluster.audit_records import Actor, decode
from cluster.audit_subjects import SubjectKeys
from cluster.behalf import HEADER, Behalf
from cluster.controller import ControllerTimes
from cluster.demand import PATIENCE_S, Summons
from cluster.service import HeadSettings
from cluster.snapshot import ModelView
from inventory.catalog import ModelName
from inventory.paths import StatePaths
from nodes.unix_server import unix_client
from support.cluster_facts import GIB, held, node, pool
from support.fake_node import FakeNode
from support.heads import running_head
from support.nodes import until

SMOL = ModelName("smollm2")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


def head(paths: StatePaths, machine: FakeNode) -> AbstractAsyncContextManager[AdminClient]:
    return running_head(HeadSettings(paths, times=ControllerTimes(tick_s=0.02)), [machine])


def machine() -> FakeNode:
    return FakeNode(node("box", [held("smollm2", GIB)], pools=[pool("ram", 64)]))


async def view_when(client: AdminClient, away: bool) -> ModelView:
    async for publication in client.watch():
        if publication.cluster and publication.cluster.models[0].away is away:
            return publication.cluster.models[0]
    raise AssertionError("the head has gone")


async def test_what_is_unloaded_loses_its_engine_says_why_and_stays_away_when_the_head_starts_anew(
    paths: StatePaths,
) -> None:
    there = machine()
    async with head(paths, there) as client:
        await until(lambda: there.snapshot.engines or None, "it runs", 30)
        wish = await client.unload_model("smollm2")
        again = await client.unload_model("smollm2")
        await until(lambda: ("drain" in dict(there.orders) or "stop" in dict(there.orders)) or None, "it leaves", 30)
    there.snapshot = replace(there.snapshot, engines=())
    async with head(paths, there) as client:
        view = await view_when(client, away=True)
        before = len(there.orders)
        loaded = await client.load_model("smollm2")
        await until(lambda: there.orders[before:] or None, "it starts", 30)

    assert (wish.away, again, loaded.away) == (True, wish, False)
    assert (view.state, view.reason) == (
        "unplaced",
        "unloaded by the operator; `potluck models load smollm2` ends that",
    )
    assert there.orders[before][0] == "ensure"


async def test_a_model_that_cluster_yaml_does_not_have_is_neither_loaded_nor_unloaded(paths: StatePaths) -> None:
    async with head(paths, machine()) as client:
        for act in (client.load_model, client.unload_model):
            with pytest.raises(AdminRefusedError, match="has no model called nix; it has smollm2") as refused:
                await act("nix")
            assert (refused.value.status, refused.value.code) == (404, "not_found")


async def test_whoever_a_gateway_acts_for_is_on_record_and_a_person_is_sealed(paths: StatePaths) -> None:
    async with head(paths, machine()) as client:
        await client.on_behalf_of(Behalf("k1", "home", "operator")).unload_model("smollm2")
        await client.on_behalf_of(Behalf("", "home", "operator", "é@example.org")).load_model("smollm2")
        async with unix_client(paths.head_socket) as raw:
            odd = await raw.post("/api/v1/models/smollm2/unload", headers={HEADER: "{"})
    with (
        closing(AuditReader.open(paths.audit_db)) as reader,
        closing(SubjectKeys.open(paths.audit_subjects_db)) as keys,
    ):
        told = [record for link in reader.links() if (record := decode(link.body)).action.startswith("model.")]
        people = [dict(keys.unseal(record)) for record in told]

    assert [(one.action, one.outcome, one.target) for one in told] == [
        ("model.unload", "begun", "smollm2"), ("model.unload", "done", "smollm2"),
        ("model.load", "begun", "smollm2"), ("model.load", "done", "smollm2"),
    ]  # fmt: skip
    assert [one.actor for one in told[1::2]] == [
        Actor("key", "k1", "home", "operator"),
        Actor("person", "", "home", "operator"),
    ]
    assert people[1::2] == [{}, {"subject": "é@example.org"}]
    assert (odd.status_code, odd.json()["error"]["code"]) == (400, "invalid_request")


def test_a_summons_holds_until_the_model_serves_or_nobody_would_wait_any_longer() -> None:
    summons = Summons()
    summons.add(SMOL, 10.0)
    first = summons.report([SMOL], [], 13.0)
    assert first is not None
    assert [(one.model, one.waiting, one.waited_s) for one in first.models] == [(SMOL, 1, 3.0)]

    served = summons.report([SMOL], [SMOL], 14.0)
    assert served is not None
    assert served.models == ()
    assert summons.report([SMOL], [], 15.0) is None

    summons.add(SMOL, 20.0)
    late = summons.report([SMOL], [], 20.0 + PATIENCE_S)
    assert late is not None
    assert late.models == ()
