"""Artifacts between two stores over real TLS: cut connections, holders that lie or die, and copies that are resumed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from fastapi import FastAPI, Response

from inventory.catalog import ArtifactId, ModelName, StoredModel
from inventory.clock import SystemClock
from inventory.disk_space import DiskFullError
from inventory.store import ModelStore, NameTakenError
from nodes.artifact_copy import CopyTimes, NoHolderGaveItError, copy_artifact
from nodes.artifact_wire import ARTIFACTS, ArtifactManifest
from nodes.orders import ArtifactHolder, PullOrder
from nodes.snapshot import NodeId
from nodes.tls_contexts import client_context
from support.artifacts import cut_after, hold_a_model, holding, listening, store_at
from support.folder_files import write_folder
from support.tls import TestAuthority

QUICK = CopyTimes(timeout_s=5.0, attempts=2, retry_wait_s=0.01)


class Watcher:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.moves: list[tuple[int, int]] = []
        self.stop_at: int | None = None

    def asking(self, node: NodeId) -> None:
        self.asked.append(node)

    def moved(self, done_bytes: int, total_bytes: int) -> None:
        self.moves.append((done_bytes, total_bytes))
        if self.stop_at is not None and done_bytes >= self.stop_at:
            raise InterruptedError

    def checked(self, done_bytes: int, total_bytes: int | None) -> None: ...


class Machine:
    """The node that copies."""

    def __init__(self, root: Path) -> None:
        self.ca = TestAuthority(root)
        self.root = root
        self.store = store_at(root / "here")
        self.watcher = Watcher()

    async def copy(
        self, model: StoredModel, *holders: ArtifactHolder, name: str | None = None, store: ModelStore | None = None
    ) -> StoredModel:
        artifact = model.artifact
        order = PullOrder(ModelName(name or model.name), artifact.artifact_id, artifact.format, holders)
        context = client_context(self.ca.identity("node", "here"))
        return await asyncio.to_thread(copy_artifact, store or self.store, order, lambda: context, self.watcher, QUICK)

    def left_over(self) -> list[str]:
        return [path.name for path in (self.root / "here/downloads").glob("copy-*")]


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_a_model_arrives_as_it_was_with_progress(here: Machine, tmp_path: Path) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    async with holding(here.ca, "mac", store) as mac:
        copied = await here.copy(model, mac)

    assert copied.artifact == model.artifact
    assert here.store.held() == tuple(replace(held, created_s=copied.created_s) for held in store.held())
    assert here.store.verify("smol") == (copied,)
    assert here.watcher.moves[-1] == (model.artifact.size_bytes, model.artifact.size_bytes)
    assert here.left_over() == []


async def test_a_folder_of_several_files_arrives_too_also_empty_ones(here: Machine, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    (folder / "merges.txt").write_text("")
    store = store_at(tmp_path / "mac")
    model = store.import_path(folder, "smol")
    async with holding(here.ca, "mac", store) as mac:
        copied = await here.copy(model, mac)

    assert copied.artifact == model.artifact
    assert {file.path for file in copied.artifact.files} >= {"config.json", "merges.txt"}


async def test_what_is_here_is_not_copied_again(here: Machine, tmp_path: Path) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    async with holding(here.ca, "mac", store) as mac:
        first = await here.copy(model, mac)
    again = await here.copy(model)
    other = await here.copy(model, name="other")

    assert again == first
    assert (other.name, other.artifact.artifact_id) == ("other", model.artifact.artifact_id)
    assert here.watcher.asked == ["mac"]


async def test_a_connection_that_is_cut_is_taken_up_where_it_broke(here: Machine, tmp_path: Path) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    async with holding(here.ca, "mac", store) as mac, cut_after(mac, [4_000_000, 4_000_000, 9_000_000]) as shaky:
        copied = await here.copy(model, shaky)

    assert copied.artifact == model.artifact
    done = [done for done, _ in here.watcher.moves]
    assert done == sorted(done)  # never again from the start


async def test_a_copy_that_was_ended_goes_on_with_another_holder(here: Machine, tmp_path: Path) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    here.watcher.stop_at = 5_000_000
    async with holding(here.ca, "mac", store) as mac, holding(here.ca, "box", store) as box:
        with pytest.raises(InterruptedError):
            await here.copy(model, mac)
        here.watcher = Watcher()
        copied = await here.copy(model, box)

    assert copied.artifact == model.artifact
    assert here.watcher.moves[0][0] > 4_000_000


async def test_a_holder_that_dies_is_left_for_the_next(here: Machine, tmp_path: Path) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    async with (
        holding(here.ca, "mac", store) as mac,
        cut_after(mac, [5_000_000]) as dying,
        holding(here.ca, "box", store) as box,
    ):
        copied = await here.copy(model, dying, box)

    assert copied.artifact == model.artifact
    assert here.watcher.asked == ["mac", "box"]


def lie(store: ModelStore, model: StoredModel) -> None:
    """Other bytes of the same size in the store's file."""
    blob = store.files(model.artifact.artifact_id)[0].resolve()
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"LIES")


async def test_a_holder_that_lies_is_left_and_its_bytes_with_it(here: Machine, tmp_path: Path) -> None:
    honest, model = hold_a_model(tmp_path / "box")
    liar, _ = hold_a_model(tmp_path / "mac")
    lie(liar, model)
    async with holding(here.ca, "mac", liar) as mac, holding(here.ca, "box", honest) as box:
        copied = await here.copy(model, mac, box)

    assert copied.artifact == model.artifact
    assert here.watcher.asked == ["mac", "box"]


async def test_an_honest_holder_is_not_blamed_for_what_a_liar_left(here: Machine, tmp_path: Path) -> None:
    honest, model = hold_a_model(tmp_path / "box")
    liar, _ = hold_a_model(tmp_path / "mac")
    lie(liar, model)
    async with (
        holding(here.ca, "mac", liar) as mac,
        cut_after(mac, [5_000_000]) as dying_liar,
        holding(here.ca, "box", honest) as box,
    ):
        copied = await here.copy(model, dying_liar, box)

    assert copied.artifact == model.artifact


async def test_only_liars_and_strangers_leave_nothing_in_the_store(here: Machine, tmp_path: Path) -> None:
    liar, model = hold_a_model(tmp_path / "mac")
    lie(liar, model)
    async with holding(here.ca, "mac", liar) as mac:
        impostor = replace(mac, node=NodeId("box"))
        with pytest.raises(NoHolderGaveItError) as failed:
            await here.copy(model, mac, impostor)

    assert here.store.list() == ()
    told = dict(failed.value.problems)
    assert "other bytes" in told[NodeId("mac")]
    assert "mismatch" in told[NodeId("box")]


Forgery = Callable[[ArtifactManifest], bytes]


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda manifest: msgspec.json.encode(replace(manifest, files=())), "not that of this artifact"),
        (
            lambda manifest: msgspec.json.encode(
                replace(manifest, files=tuple(replace(file, sha256="0" * 64) for file in manifest.files))
            ),
            "not that of this artifact",
        ),
        (lambda _: b"[]", "cannot be read"),
        (lambda _: b" " * 9_000_000, "no end"),
    ],
)
async def test_a_forged_manifest_is_seen_before_any_file(
    here: Machine, tmp_path: Path, forge: Forgery, reason: str
) -> None:
    _, model = hold_a_model(tmp_path / "box")
    artifact = model.artifact
    true = ArtifactManifest(artifact.format, artifact.files, artifact.source, artifact.revision)
    app = FastAPI()

    @app.get(f"{ARTIFACTS}/{{artifact_id}}/manifest")
    async def manifest(artifact_id: ArtifactId) -> Response:
        return Response(forge(true))

    async with listening(here.ca, "mac", app) as mac:
        with pytest.raises(NoHolderGaveItError, match=reason):
            await here.copy(model, mac)

    assert here.watcher.moves == []


async def test_room_and_name_are_looked_at_before_the_first_byte(here: Machine, tmp_path: Path) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    full = ModelStore(tmp_path / "full", SystemClock(), free=lambda _: 1_000_000)
    taken, _ = hold_a_model(tmp_path / "taken", padding="y")
    async with holding(here.ca, "mac", store) as mac:
        with pytest.raises(DiskFullError):
            await here.copy(model, mac, store=full)
        with pytest.raises(NameTakenError):
            await here.copy(model, mac, store=taken)

    assert here.watcher.moves == []
