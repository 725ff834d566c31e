"""The head from start to stop, driven over its real Unix socket."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.config_problems import ConfigError
from cluster.controller import ControllerTimes
from cluster.defaults import DEFAULT_TEXT
from cluster.demand import DemandReport, ModelDemand
from cluster.keys import ensure_pepper, key_digest
from cluster.link import NodeLink
from cluster.load_records import LoadRecords
from cluster.publication import Publication
from cluster.registry import Registry
from cluster.service import HeadSettings, run_head
from cluster.snapshot import ClusterSnapshot, ModelState, NodeView
from inventory.catalog import ModelName
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.secret_files import ExposedSecretError, read_secret
from nodes.role_lock import AlreadyRunningError, running
from nodes.snapshot import EngineLoad, MemoryItem
from nodes.unix_server import unix_client
from support.cluster_facts import GIB, held, node
from support.fake_node import FakeNode
from support.nodes import until
from support.shapes import shape

OTHER_TEXT = "version: 1\ncluster: {name: office}\nmodels: {other: {source: packaged:other}}\n"
TIMES = ControllerTimes(tick_s=0.02)
JWK = '{"kty": "OKP", "crv": "Ed25519", "x": "' + "A" * 43 + '"}'


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state")


@pytest.fixture
def machine() -> FakeNode:
    return FakeNode(node("box", [held("smollm2")]))


@asynccontextmanager
async def head(paths: StatePaths, *links: NodeLink, config_file: Path | None = None) -> AsyncIterator[AdminClient]:
    """A head that has published once, and is stopped at the end."""
    stop = asyncio.Event()
    async with asyncio.timeout(20):
        serving = asyncio.create_task(run_head(HeadSettings(paths, config_file, TIMES), links, SystemClock(), stop))
        client = AdminClient(paths.head_socket)
        try:
            await _answering(client, serving)
            yield client
        finally:
            stop.set()
            await serving


async def _answering(client: AdminClient, serving: asyncio.Task[None]) -> None:
    while not serving.done():
        try:
            await client.snapshot()
        except (HeadUnreachableError, AdminRefusedError):
            await asyncio.sleep(0.01)
        else:
            return
    await serving


async def test_the_first_start_serves_the_embedded_configuration_and_makes_the_owners_key(
    paths: StatePaths, machine: FakeNode
) -> None:
    async with head(paths, machine) as client:
        snapshot, config = await client.snapshot(), await client.config()

    assert (snapshot.cluster, snapshot.config_revision) == ("home", 1)
    assert [(model.name, model.state) for model in snapshot.models] == [("smollm2", "starting"), ("usem3", "unplaced")]
    assert (config.revision, config.text, config.file) == (1, DEFAULT_TEXT, str(paths.config_file))
    assert re.fullmatch(r"pl_[0-9a-f]+_[\w-]{43}", read_secret(paths.owner_key))


async def test_the_epoch_grows_and_key_and_revision_stay_across_restarts(paths: StatePaths, machine: FakeNode) -> None:
    async with head(paths, machine) as client:
        before = await client.snapshot()
        key = read_secret(paths.owner_key)
    async with head(paths, machine) as client:
        snapshot = await client.snapshot()

    assert snapshot.epoch > before.epoch
    assert snapshot.config_revision == 1
    assert read_secret(paths.owner_key) == key
    assert not paths.head_socket.exists()
    assert running(paths.run, "head") is None


async def test_the_feed_tells_access_and_cluster_and_ends_with_the_head(paths: StatePaths, machine: FakeNode) -> None:
    seen: list[Publication] = []
    async with head(paths, machine) as client:
        feed = client.watch()
        seen += [await anext(feed), await anext(feed), await anext(feed)]
        reader = asyncio.create_task(_drained(feed))
    started_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(5):
        await reader

    access, first, second = seen
    assert access.access is not None
    (record,) = access.access.keys
    assert record.digest_hex == key_digest(ensure_pepper(paths.pepper), read_secret(paths.owner_key))
    assert access.access.pepper_file == str(paths.pepper)
    assert first.cluster is not None and second.cluster is not None
    assert second.cluster.sequence > first.cluster.sequence
    assert asyncio.get_running_loop().time() - started_s < 1


async def test_rotation_publishes_another_record_and_writes_another_key(paths: StatePaths, machine: FakeNode) -> None:
    async with head(paths, machine) as client:
        before = read_secret(paths.owner_key)
        feed = client.watch()
        await anext(feed)
        rotated = await client.rotate_owner()
        access = await _next_access(feed)

    after = read_secret(paths.owner_key)
    assert after != before and after.split("_")[1] == rotated.key_id
    assert rotated.owner_key_file == str(paths.owner_key)
    assert access.access is not None
    assert [record.key_id for record in access.access.keys] == [rotated.key_id]
    assert access.access.sequence == 2


async def test_a_configuration_is_applied_written_and_numbered(paths: StatePaths, machine: FakeNode) -> None:
    async with head(paths, machine) as client:
        applied = await client.apply_config(OTHER_TEXT)
        again = await client.apply_config(OTHER_TEXT)
        snapshot = await _next_cluster(client.watch(), revision=2)
    async with head(paths, machine) as client:
        later = await client.config()

    assert (applied.revision, applied.changed, again.revision, again.changed) == (2, True, 2, False)
    assert (snapshot.cluster, [model.name for model in snapshot.models]) == ("office", ["other"])
    assert paths.config_file.read_text() == OTHER_TEXT
    assert (later.revision, later.text) == (2, OTHER_TEXT)


async def test_an_issuer_of_tokens_is_published_when_the_configuration_names_it(
    paths: StatePaths, machine: FakeNode
) -> None:
    text = f"{DEFAULT_TEXT}\naccess: {{jwt: {{issuer: https://login, audience: potluck, public_key: '{JWK}'}}}}\n"
    async with head(paths, machine) as client:
        feed = client.watch()
        before = await anext(feed)
        await client.apply_config(text)
        after = await _next_access(feed)

    assert before.access is not None and before.access.issuer is None
    assert after.access is not None and after.access.issuer is not None
    assert (after.access.issuer.issuer, after.access.issuer.public_key) == ("https://login", "A" * 43)


async def test_who_may_log_in_is_published_when_the_configuration_changes(paths: StatePaths, machine: FakeNode) -> None:
    people = (
        "{issuer: https://login, client_id: potluck, address: https://here, people: [{claim: sub, any_of: [anna]}]}"
    )
    async with head(paths, machine) as client:
        feed = client.watch()
        before = await anext(feed)
        await client.apply_config(f"{DEFAULT_TEXT}\naccess: {{oidc: {people}, second_factor: [admin]}}\n")
        after = await _next_access(feed)

    assert before.access is not None and after.access is not None and after.access.login is not None
    assert (before.access.login, before.access.second_factor) == (None, ())
    assert (after.access.login.issuer, after.access.second_factor) == ("https://login", ("admin",))


async def test_a_wrong_configuration_changes_nothing_and_is_explained(paths: StatePaths, machine: FakeNode) -> None:
    async with head(paths, machine) as client:
        with pytest.raises(AdminRefusedError, match=r'modls \(line 2\): unknown key; did you mean "models"') as caught:
            await client.apply_config("version: 1\nmodls: {}\n")
        config = await client.config()

    assert (caught.value.status, caught.value.code) == (400, "invalid_config")
    assert (config.revision, config.text) == (1, DEFAULT_TEXT)
    assert not paths.config_file.exists()


async def test_a_plan_says_what_a_configuration_would_change_and_changes_nothing(
    paths: StatePaths, machine: FakeNode
) -> None:
    async with head(paths, machine) as client:
        await _with_an_engine(client)
        plan = await client.plan_config(OTHER_TEXT)
        same = await client.plan_config(DEFAULT_TEXT)
        with pytest.raises(AdminRefusedError, match="unknown key") as caught:
            await client.plan_config("version: 1\nmodls: {}\n")
        config = await client.config()

    assert [(one.engine, one.change) for one in plan.engines] == [("smollm2.box.1", "stop")]
    assert [(one.model, one.reason) for one in plan.left_out] == [
        ("other", "not on this machine: run `potluck models pull packaged:other --name other`")
    ]
    assert (plan.revision, plan.pools[0].before_bytes > 0, plan.pools[0].after_bytes) == (1, True, 0)
    assert [(one.engine, one.change) for one in same.engines] == [("smollm2.box.1", "stay")]
    assert (caught.value.status, caught.value.code) == (400, "invalid_config")
    assert (config.revision, set(machine.orders)) == (1, {("ensure", "smollm2.box.1")})


async def test_labels_of_the_file_and_of_the_command_both_count(paths: StatePaths, machine: FakeNode) -> None:
    text = (
        "version: 1\nnodes: {box: {labels: {room: '7', gpu: none}}}\n"
        "models: {smollm2: {source: packaged:smollm2, engine: llamacpp, where: {room: '7', gpu: [amd, nvidia]}}}\n"
    )
    async with head(paths, machine) as client:
        await client.apply_config(text)
        before = await _next_cluster(client.watch(), revision=2)
        await client.set_labels("box", {"gpu": "nvidia"})
        await until(lambda: machine.snapshot.engines, "it is ordered")
        after = await client.snapshot()

    assert before.models[0].reason == ("models.smollm2.where asks for gpu=amd|nvidia; known here: gpu=none, room=7")
    assert after.nodes[0].labels == (("gpu", "nvidia"), ("room", "7"))


async def test_programs_ask_which_models_could_be_served_to_so_many(paths: StatePaths, machine: FakeNode) -> None:
    async with head(paths, machine), unix_client(paths.head_socket) as raw:
        answer = await raw.post("/api/v1/fit/models", json={"context": "4k", "users": 8})
        wrong = await raw.post("/api/v1/fit/models", json={"users": 0})

    found = answer.json()
    assert (answer.status_code, found["context_tokens"], found["users"]) == (200, 4096, 8)
    assert {one["model"] for one in found["options"]} >= {"smollm2", "qwen3-4b"}
    assert found["chosen"][0]["node"] == "box"
    assert wrong.status_code == 400


async def test_a_file_the_operator_chose_is_read_and_replaced_in_its_place(
    paths: StatePaths, machine: FakeNode, tmp_path: Path
) -> None:
    chosen = tmp_path / "my.yaml"
    chosen.write_text(DEFAULT_TEXT)
    chosen.chmod(0o644)
    async with head(paths, machine, config_file=chosen) as client:
        await client.apply_config(OTHER_TEXT)

    assert (chosen.read_text(), chosen.stat().st_mode & 0o777) == (OTHER_TEXT, 0o644)
    assert not paths.config_file.exists()


async def test_a_bad_body_and_an_unknown_route_have_typed_errors(paths: StatePaths, machine: FakeNode) -> None:
    async with head(paths, machine), unix_client(paths.head_socket) as raw:
        bad = await raw.post("/api/v1/config", json={"txt": "version: 1"})
        unknown = await raw.get("/api/v1/nothing")

    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_request")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")


async def test_a_head_that_is_not_there_is_unreachable_with_what_to_do(paths: StatePaths) -> None:
    client = AdminClient(paths.ensure().head_socket)

    with pytest.raises(HeadUnreachableError, match="start it with `potluck up`"):
        await client.snapshot()
    with pytest.raises(HeadUnreachableError):
        await anext(client.watch())


async def _with_an_engine(client: AdminClient) -> None:
    """Until the head has seen the engine that it ordered."""
    async for publication in client.watch():
        nodes = publication.cluster.nodes if publication.cluster is not None else ()
        if any(node.snapshot is not None and node.snapshot.engines for node in nodes):
            return


async def _with_memories(client: AdminClient) -> NodeView:
    """The only machine, once its figures are corrected."""
    async for publication in client.watch():
        if publication.cluster is not None and publication.cluster.nodes[0].memories:
            return publication.cluster.nodes[0]
    raise AssertionError("the head went away")


async def test_what_engines_took_is_told_by_the_next_head_too(paths: StatePaths, machine: FakeNode) -> None:
    model = replace(held("smollm2"), shape=shape(layers=4, width=512, weights=GIB))
    machine.snapshot = node("box", [model])

    def take(peak_bytes: int) -> None:
        """As if the engine that was ordered had come up."""
        (started,) = machine.snapshot.engines
        load = EngineLoad(slots=4, output_tokens_total=1)
        ready = replace(started, state="ready", load=load, memory_peak_bytes=peak_bytes)
        ready = replace(ready, memory_items=(MemoryItem(("weights",), GIB),))
        machine.snapshot = replace(machine.snapshot, engines=(ready,))

    async with head(paths, machine) as client:
        await until(lambda: machine.snapshot.engines, "it is ordered")
        take(64 * GIB)
        view = await _with_memories(client)
        told = await client.ledger("box")
    async with head(paths, machine) as client:
        again, other = await client.ledger(), await client.ledger("other")

    (build,) = told.engines
    assert (build.node, build.engine, build.starts[0].peak_bytes) == ("box", "llamacpp", 64 * GIB)
    assert "corrected by 1 start on this node" in view.memories[0].origin
    assert again.engines[0].starts == build.starts
    assert other.engines == ()


async def test_a_second_head_is_refused(paths: StatePaths, machine: FakeNode) -> None:
    async with head(paths, machine):
        with pytest.raises(AlreadyRunningError):
            await run_head(HeadSettings(paths), [machine], SystemClock(), asyncio.Event())


async def test_a_head_does_not_start_with_an_exposed_secret_or_a_wrong_file(paths: StatePaths, tmp_path: Path) -> None:
    async with head(paths):
        pass
    paths.pepper.chmod(0o644)
    with pytest.raises(ExposedSecretError, match="chmod 600"):
        await run_head(HeadSettings(paths), [], SystemClock(), asyncio.Event())
    paths.pepper.chmod(0o600)
    with pytest.raises(ConfigError, match="cannot be read"):
        await run_head(HeadSettings(paths, tmp_path / "none.yaml"), [], SystemClock(), asyncio.Event())

    assert running(paths.run, "head") is None


async def _drained(feed: AsyncIterator[Publication]) -> None:
    async for _ in feed:
        pass


async def _next_access(feed: AsyncIterator[Publication]) -> Publication:
    return await anext(publication async for publication in feed if publication.access is not None)


async def _next_cluster(feed: AsyncIterator[Publication], revision: int) -> ClusterSnapshot:
    async for publication in feed:
        if publication.cluster is not None and publication.cluster.config_revision == revision:
            return publication.cluster
    raise AssertionError("the feed ended")


async def test_a_model_that_sleeps_starts_when_a_gateway_says_that_somebody_waits(
    paths: StatePaths, machine: FakeNode, tmp_path: Path
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("version: 1\nmodels: {smollm2: {source: packaged:smollm2, context: 2k, keep_alive: 10m}}\n")
    async with head(paths, machine, config_file=file) as client:
        asleep = await client.snapshot()
        await client.demand(DemandReport("gateway-1", (ModelDemand(ModelName("smollm2"), waiting=1),)))
        await _until_model(client, "starting")
        machine.become_ready()
        await _until_model(client, "ready")
    async with head(paths, machine, config_file=file):
        registry = Registry.open(paths.registry_db, SystemClock())
        known = LoadRecords(registry).all()
        registry.close()

    assert (asleep.models[0].state, set(machine.orders)) == ("asleep", {("ensure", "smollm2.box.1")})
    assert known[0].seconds == 1.0
    assert known[0].key.node_id == "box"


async def _until_model(client: AdminClient, state: ModelState) -> None:
    async for publication in client.watch():
        if publication.cluster is not None and publication.cluster.models[0].state == state:
            return
