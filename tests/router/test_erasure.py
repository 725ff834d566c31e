"""A person leaves: what is kept of her is handed over, erased while everything runs, and looked for in every byte."""

import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from cluster.admin_client import AdminClient
from cluster.erasure import KEY_BYTES, Person, sought
from cluster.erasure_list import ErasureList
from cluster.key_order import KeyOrder
from cluster.knowledge import NewStore
from cluster.pii.pseudonyms import key_of, pseudonym
from cluster.pii_vault import PseudonymVault, UnknownPseudonymError
from cluster.service import HeadSettings
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.role_lock import RoleLock
from rag.library.guarded import GuardedParsing, Privacy
from rag.library.opened import OpenLibrary, open_library
from rag.stores.embedded import EmbeddedStore
from router.cache_store import CacheStore
from router.knowledge.recorder import HeadRecorder
from router.knowledge.room import Around
from router.telemetry import TelemetryWriter
from support.command_here import potluck
from support.engines import FaultEngine, running_fault_engine
from support.erasure_kills import IDENTIFIER as ERASED
from support.erasure_kills import NEVER, erase
from support.gateway import KEY, MODEL, PEPPER, Running, access_with, cluster_of, key_record, running_gateway, served_by
from support.heads import running_head
from support.libraries import ANA, ANYWHERE, ParsingHere, WordEncoders, opened, reading, settled, until, upload
from support.rag_stores import vector_of
from support.zones import let_in, machine, publish

WHO, MAIL, NUMBER = "maria", "Maria.Canary@example.org", "12345678-Z"
HER_TOKEN, ANAS_TOKEN = (pseudonym(key_of(PEPPER.encode(), "home"), "email", one) for one in (MAIL, "ana@example.org"))
OF_OTHERS = "The timetable of the second year has chemistry on thursday."
SECRETS = (  # what only she has said, or what is said of her; texts of other people have none of it
    "zanzibarcanary", "okapicanary", "wombatcanary", "quokkacanary", "axolotlcanary", "narwhalcanary", "tapircanary",
    "maria.canary", "12345678-z", "ibexcanary", "lemurcanary", HER_TOKEN.rpartition("_")[2].rstrip("]"),
)  # fmt: skip
HER_KEY = "pl_mariakey_" + "m" * 43
WHOM = ("--person", WHO, "--identifier", MAIL.lower(), "--identifier", "12345678z", "--documents-that-name-them")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEngine]:
    with running_fault_engine(tmp_path_factory.mktemp("engine"), "llamacpp") as engine:
        yield engine


@dataclass
class School:
    """A gateway and a head over one state directory, with documents and everything else that keeps something."""

    running: Running
    library: OpenLibrary
    telemetry: TelemetryWriter
    folder: Path

    @property
    def clinic(self) -> Path:
        return self.folder.parent / "clinic"

    @property
    def paths(self) -> StatePaths:
        return self.running.paths

    async def privacy(self, *arguments: str, expect: int = 0) -> str:
        said = await asyncio.to_thread(potluck, "privacy", self.paths, *arguments, expect=expect)
        return said.stdout + said.stderr


@asynccontextmanager
async def school(root: Path, engine: FaultEngine) -> AsyncIterator[School]:
    clock, made = SystemClock(), list[OpenLibrary]()
    paths = StatePaths.at(root / "state").ensure()

    def open_room(around: Around) -> OpenLibrary:
        store = EmbeddedStore(around.paths.rag_db, clock)
        vault = PseudonymVault(around.paths.pseudonyms_db, around.pseudonym_key, clock)
        parsing = GuardedParsing(ParsingHere(), Privacy(around.pii, around.pseudonym_key, vault))
        made.append(open_library(around.paths.root, store, WordEncoders(), parsing, clock, ANYWHERE))
        return made[0]

    telemetry = TelemetryWriter(paths.telemetry_db, clock)
    cache = CacheStore(paths.cache_db, clock, lambda: 1 << 20)
    recorder = HeadRecorder(AdminClient(paths.head_socket))
    lock = RoleLock(paths.run, "gateway")
    lock.acquire()
    try:
        async with (
            running_head(HeadSettings(paths)),
            running_gateway(
                root, [served_by(engine)], sinks=(telemetry,), cache=cache, open_room=open_room, recorder=recorder
            ) as running,
        ):
            write_secret(running.paths.owner_key, KEY)
            her_key = replace(key_record(HER_KEY), front_end=True, role="user")
            running.view.install_access(access_with(running.paths, (key_record(), her_key), sequence=2))
            snapshot = cluster_of([served_by(engine)], sequence=2)
            keeping = tuple(replace(view, answers_kept_s=3600.0) for view in snapshot.models)
            running.view.install_cluster(replace(snapshot, models=keeping))
            lock.publish(f"{running.base_url}/v1")
            erasing = asyncio.create_task(running.gateway.eraser.run())
            folder = root / "shared"
            here = School(running, made[0], telemetry, folder)
            for one in (here.folder, here.clinic):
                one.mkdir(exist_ok=True)
            try:
                yield here
            finally:
                erasing.cancel()
    finally:
        telemetry.close()
        cache.close()
        lock.release()


async def lives(school: School) -> None:
    """She is everywhere: documents in two versions, pseudonyms, attributes, uploads, a batch, chats, a key, logs."""
    running, hers = school.running, {"x-openwebui-user-id": WHO}
    async with running.openai(HER_KEY) as client, running.openai() as other, running.http() as http:
        her_client = client.with_options(default_headers=hers)
        await her_documents(her_client, other)
        await her_client.vector_stores.create(name="lemurcanary")
        shared = (await other.vector_stores.create(name="shared")).id
        watched = {"vector_store_id": shared, "path": str(school.folder), "watch": True}
        (school.folder / "list.md").write_text(f"# Pupils\n\nOn the list wombatcanary has {NUMBER}.")
        (school.folder / "timetable.md").write_text(OF_OTHERS)
        assert (await http.post("/api/v1/rag/folders", json=watched)).status_code == 200
        clinic = await other.vector_stores.create(name="clinic", extra_body={"pii": "pseudonymise"})
        for name, text in (("visit.md", f"{MAIL} came on monday."), ("other.md", "ana@example.org came on tuesday.")):
            (school.clinic / name).write_text(text)
        watched = {"vector_store_id": clinic.id, "path": str(school.clinic), "watch": False}
        assert (await http.post("/api/v1/rag/folders", json=watched)).status_code == 200
        await read(school)
        (school.folder / "list.md").write_text(f"# Pupils\n\nOn the list quokkacanary has {NUMBER}, since this year.")
        rows = school.library.shelves.catalogue
        await until(lambda: [row.version for row in rows.files(shared) if row.name == "list.md"] == [2], school.library)
        chat: Any = {"model": MODEL, "messages": [{"role": "user", "content": "What does narwhalcanary mean?"}]}
        for _ in range(2):
            await her_client.chat.completions.create(**chat, extra_headers={"x-request-id": "tapircanary"})
        await a_batch(her_client)
    await running.until_idle()
    running.finished()
    await asyncio.to_thread(school.telemetry.flush)
    await in_the_head(school.paths)
    log = school.paths.logs / "gateway.log"
    log.write_bytes(
        b'{"event": "somebody_else", "name": "ana"}\n'
        + json.dumps({"event": "file_not_read", "name": f"ibexcanary of {MAIL}"}).encode() + b"\n"
        + json.dumps({"event": "session", "key_id": f"oidc:{WHO}", "name": "okapicanary"}).encode() + b"\n"
    )  # fmt: skip


async def her_documents(hers: openai.AsyncOpenAI, other: openai.AsyncOpenAI) -> None:
    mail = (
        f"From: {MAIL}\r\nTo: school@example.org\r\nSubject: axolotlcanary\r\n\r\nI moved to zanzibarcanary street.\r\n"
    )
    uploads = [("letter.eml", mail.encode()), ("cv.md", b"# CV\n\nzanzibarcanary was my first school.")]
    ids = [(await hers.files.create(file=one, purpose="assistants")).id for one in uploads]
    store = await hers.vector_stores.create(name="of mine", file_ids=ids)
    sealed = await hers.vector_stores.create(name="under pseudonyms", extra_body={"pii": "pseudonymise"})
    letter = await hers.files.create(file=("of.md", f"Write to {MAIL}, tapircanary.".encode()), purpose="assistants")
    await hers.vector_stores.files.create(vector_store_id=sealed.id, file_id=letter.id)
    await hers.vector_stores.files.update(ids[1], vector_store_id=store.id, attributes={"street": "okapicanary"})


async def a_batch(hers: openai.AsyncOpenAI) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "narwhalcanary again"}]}
    line = {"custom_id": "okapicanary", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = await hers.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = await hers.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"for": "lemurcanary"}
    )
    async with asyncio.timeout(60):
        while batch.status not in ("completed", "failed"):
            await asyncio.sleep(0.1)
            batch = await hers.batches.retrieve(batch.id)
    assert batch.status == "completed", batch


async def in_the_head(paths: StatePaths) -> None:
    head = AdminClient(paths.head_socket)
    await head.create_key(KeyOrder(name=WHO, group="tapircanary"))
    await head.create_key(KeyOrder(name="ana"))


async def read(school: School) -> None:
    rows = school.library.shelves.catalogue

    def settled() -> bool:
        files = [file for store in rows.stores() for file in rows.files(store.store_id)]
        return len(files) == 7 and all(file.status == "completed" for file in files)

    await until(settled, school.library)


def forms_of(secret: str) -> list[bytes]:
    """As it may be written down: in either case, UTF-8, UTF-16 and base64 at each of its three places."""
    found = []
    for text in (secret, secret.upper(), secret.capitalize(), secret.title()):
        found += [text.encode(), text.encode("utf-16-le")]
        found += [base64.b64encode(b"\0" * at + text.encode())[at + 2 : -4] for at in range(3)]
    return found


VECTORS = [
    np.ascontiguousarray(vector_of(text).astype("<f2")).tobytes()
    for text in ("# CV\n\nzanzibarcanary was my first school.", "zanzibarcanary was my first school.",
                 "CV\nzanzibarcanary was my first school.")
]  # fmt: skip


def hits_in(root: Path) -> dict[str, set[str]]:
    """Files below the directory, by what of her is in them."""
    wanted = {secret: forms_of(secret) for secret in SECRETS}
    wanted["a vector"] = VECTORS
    found: dict[str, set[str]] = {}
    for path in root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret, forms in wanted.items():
                if any(form in content for form in forms):
                    found.setdefault(str(path.relative_to(root)), set()).add(secret)
    return found


async def test_a_person_is_handed_over_and_then_in_no_byte_of_the_state(
    tmp_path: Path, engine: FaultEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maria.zip"
    async with school(tmp_path, engine) as here:
        turn: dict[str, object] = {"content": "A narwhalcanary is a whale with a horn."}
        engine.script(*[turn] * 8)
        await lives(here)
        before = hits_in(here.paths.root)
        preview = await here.privacy("erase", *WHOM, "--dry-run", "--json")
        assert hits_in(here.paths.root).keys() >= before.keys(), "a preview changes nothing"
        await here.privacy("export", *WHOM, "--out", str(out))
        told = await here.privacy("erase", *WHOM, "--yes")
        listed = json.loads(await here.privacy("erasures", "--json"))["erasures"]
        async with here.running.openai() as other:
            stores = {store.name: store.id async for store in other.vector_stores.list()}
            files = [file async for file in other.vector_stores.files.list(stores["shared"])]
            left = await other.vector_stores.search(stores["shared"], query=OF_OTHERS)
            visits = await other.vector_stores.search(stores["clinic"], query="came on monday")
        here.library.ingest.wake()
    after = hits_in(here.paths.root)
    verified = await asyncio.to_thread(potluck, "audit", here.paths, "verify", "--json")

    holdings = json.loads(preview)["holdings"]
    with zipfile.ZipFile(out) as zipped:
        manifest = json.loads(zipped.read("manifest.json"))
        exported = {name: zipped.read(name) for name in zipped.namelist()}
    everything = b"".join(exported.values()).lower()
    missing = [secret for secret in SECRETS if secret.encode() not in everything]
    sums = {one["path"]: one["sha256"] for one in manifest["files"]}
    with capsys.disabled():
        print(
            f"\nRESULT erasure places={len({one['place'] for one in holdings})} hits_before={len(before)} "
            f"hits_after={len(after)} chain={'broken' if json.loads(verified.stdout)['finding'] else 'ok'} "
            f"export_complete={not missing}"
        )
    vault = PseudonymVault(here.paths.pseudonyms_db, lambda tenant: key_of(PEPPER.encode(), tenant), SystemClock())
    expected = {
        "pseudonyms.db",
        "rag.db",
        "library.db",
        "batches.db",
        "telemetry.db",
        "cache.db",
        "registry.db",
        "logs/gateway.log",
    }
    assert {name.split("-wal")[0] for name in before} >= expected, before
    assert {one["place"] for one in holdings} >= {
        "head", "documents", "files", "records", "pseudonyms", "cache", "logs",
    }  # fmt: skip
    assert not missing
    assert manifest["holds"] and {hashlib.sha256(exported[path]).hexdigest() for path in sums} == set(sums.values())
    assert after == {}
    assert "done" in told and str(here.folder / "list.md") in told and str(here.clinic / "visit.md") in told
    assert vault.reveal("home", ANAS_TOKEN) == ("email", "ana@example.org")
    with pytest.raises(UnknownPseudonymError):
        vault.reveal("home", HER_TOKEN)
    assert [hit.content[0].text for hit in visits.data] == [f"{ANAS_TOKEN} came on tuesday."]
    assert [one["state"] for one in listed] == ["done"]
    assert [file.status for file in files] == ["completed"]
    assert [hit.content[0].text for hit in left.data] == [OF_OTHERS]


@pytest.mark.parametrize("killed_at", [0, 1, 2, 3])
async def test_one_that_is_killed_is_finished_by_the_next_start(tmp_path: Path, killed_at: int) -> None:
    root = StatePaths.at(tmp_path / "state").ensure().root
    async with opened(root, WordEncoders()) as library, reading(library):
        store_id = (await library.knowledge.create_store(ANA, NewStore("notes"))).store_id
        texts = (f"She lives in {ERASED} street.", OF_OTHERS)
        files = [upload(tmp_path / "up", number, text) for number, text in enumerate(texts)]
        await library.knowledge.add_files(ANA, store_id, files)
        await settled(library, store_id)
    (root / "logs" / "gateway.log").write_text(f'{{"name": "{ERASED}"}}\n{{"name": "ana"}}\n')
    assert len(found_in(root, ERASED)) > 1

    killed = await asyncio.to_thread(run_kills, root, str(killed_at))
    begun = ErasureList(StatePaths.at(root)).entries()
    finished = await asyncio.to_thread(run_kills, root)

    assert (killed, finished) == (-signal.SIGKILL, 0)
    assert [one.state for one in begun] == ["begun"]
    assert [one.state for one in ErasureList(StatePaths.at(root)).entries()] == ["done"]
    assert found_in(root, ERASED) == []
    assert (root / "logs" / "gateway.log").read_text().splitlines()[-1] == '{"name": "ana"}'
    async with opened(root, WordEncoders()) as library:
        assert [file.file_id for file in await library.knowledge.files(ANA, store_id)] == [files[1].file_id]


async def test_what_a_backup_brings_back_is_erased_again(tmp_path: Path) -> None:
    root = StatePaths.at(tmp_path / "state").ensure().root
    async with opened(root, WordEncoders()) as library, reading(library):
        store_id = (await library.knowledge.create_store(ANA, NewStore("notes"))).store_id
        await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 1, f"In {ERASED} street.")])
        await settled(library, store_id)
    backup = {path: path.read_bytes() for path in (root / "rag.db", root / "library.db")}
    for path in root.glob("*.db-*"):
        path.unlink()
    await erase(root, killed_at=NEVER)
    assert found_in(root, ERASED) == []
    for path, content in backup.items():
        path.write_bytes(content)
    assert found_in(root, ERASED) != []

    await asyncio.to_thread(run_kills, root)
    assert found_in(root, ERASED) == []


async def test_spaces_that_her_key_asks_by_itself_are_not_asked_by_it_any_more(tmp_path: Path) -> None:
    her = sought("er_" + "0" * 24, bytes(KEY_BYTES), Person(WHO), ("okapicanary",))
    async with opened(tmp_path, WordEncoders()) as library:
        store_id = (await library.knowledge.create_store(ANA, NewStore("notes"))).store_id
        await library.knowledge.set_usual(ANA, store_id, ["toy"], ["okapicanary", "anas"])
        (piece,) = [one for one in await library.erasable.export(her) if one.path == "documents/usual.json"]
        assert found_in(tmp_path, "okapicanary")
        await library.erasable.erase(her)
        left = [(one.model, one.key_id) for one in library.shelves.catalogue.usual()]

    assert "okapicanary" in piece.content.decode() and "anas" not in piece.content.decode()
    assert left == [("toy", None), (None, "anas")]
    assert found_in(tmp_path, "okapicanary") == []


async def test_notes_for_the_audit_of_where_her_questions_went_have_nothing_of_her(
    tmp_path: Path, engine: FaultEngine
) -> None:
    engine.script({"content": "A narwhalcanary is a whale."})
    async with running_gateway(tmp_path, [served_by(engine)]) as running, running.openai() as client:
        publish(running, machine("near", "clinic", [served_by(engine)]))
        let_in(running, {KEY: "medical"})
        headers = {"x-openwebui-user-id": WHO, "x-request-id": "tapircanary", "x-openwebui-user-email": MAIL}
        asked: Any = [{"role": "user", "content": f"What does {MAIL} say of narwhalcanary?"}]
        await client.chat.completions.create(model=MODEL, messages=asked, user=WHO, extra_headers=headers)
        (note,) = running.paths.sightings.read_text().splitlines()

    noted = json.loads(note)
    assert noted.keys() == {"at_ms", "node_id", "zone", "classes", "allowed", "deed", "about"}
    assert (noted["node_id"], noted["classes"], noted["deed"]) == ("near", ["medical"], "answered")
    assert re.fullmatch("req_[0-9a-f]{32}", noted["about"])
    assert not [one for one in (*SECRETS, WHO) if one in note.lower()]


def run_kills(root: Path, *arguments: str) -> int:
    """How it ended."""
    places = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": places}
    command = [sys.executable, "-m", "support.erasure_kills", str(root), *arguments]
    return subprocess.run(command, env=environment, timeout=120, check=False, capture_output=True).returncode


def found_in(root: Path, secret: str) -> list[str]:
    forms = forms_of(secret)
    files = [path for path in root.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if any(form in path.read_bytes() for form in forms))
