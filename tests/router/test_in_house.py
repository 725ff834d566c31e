"""What the gateway asks of itself: as somebody, in his name; and what nobody waits for, on machines that are idle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_reader

from cluster.knowledge import Reader
from cluster.limits import Limits
from inventory.catalog import Capability, ModelName
from router.in_house import InHouse
from router.request import TOKEN_HOLDER
from support.engines import FaultEngine, running_fault_engine
from support.gateway import MODEL, Running, access_with, cluster_of, key_record, running_gateway, served_by
from support.leaks import CANARY
from support.nodes import until

OWNER = Reader("home", "owner1", "family", "private", "u-17")
EMBED: dict[str, frozenset[Capability]] = {MODEL: frozenset({"embed"})}
TEXTS = {"model": MODEL, "input": [CANARY, "two"], "encoding_format": "base64"}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}], "max_tokens": 20}


@asynccontextmanager
async def encoding(root: Path) -> AsyncIterator[Running]:
    with running_fault_engine(root / "engine", "encoder", "--only-reads") as engine:
        async with running_gateway(root, [served_by(engine)], abilities=EMBED) as running:
            yield running


@asynccontextmanager
async def writing(root: Path, *options: str) -> AsyncIterator[tuple[Running, FaultEngine]]:
    with running_fault_engine(root / "engine", "llamacpp", *options) as engine:
        async with running_gateway(root, [served_by(engine, slots=1)]) as running:
            yield running, engine


def house_of(running: Running) -> InHouse:
    return running.gateway.in_house


@pytest.mark.parametrize("background", [False, True])
async def test_vectors_come_as_to_a_client_and_are_on_record_as_the_readers(tmp_path: Path, background: bool) -> None:
    async with encoding(tmp_path) as running, house_of(running).client_for(OWNER, background) as client:
        answer = await client.post("embeddings", json=TEXTS)
        async with running.http() as outside:
            same = await outside.post("/v1/embeddings", json=TEXTS)
        await running.until_idle()
        record = running.finished()[0]

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == same.json()["data"]
    assert (record.key_id, record.tenant, record.user, record.outcome) == ("owner1", "home", "u-17", "ok")
    assert answer.headers["x-request-id"] == record.request_id


async def test_a_whole_chat_is_answered_and_a_stream_is_not(tmp_path: Path) -> None:
    async with writing(tmp_path) as (running, _), house_of(running).client_for(OWNER) as client:
        whole = await client.post("chat/completions", json=CHAT)
        streamed = await client.post("chat/completions", json=CHAT | {"stream": True})
        elsewhere = [await client.post("files", json={}), await client.get("models"), await client.post("embeddings")]

    assert whole.json()["choices"][0]["message"]["content"]
    assert (streamed.status_code, streamed.json()["error"]["param"]) == (400, "stream")
    assert [answer.status_code for answer in elsewhere] == [404, 404, 400]


async def test_a_key_counts_as_it_is_now(tmp_path: Path) -> None:
    async with encoding(tmp_path) as running, house_of(running).client_for(OWNER) as client:
        weak = replace(key_record(), scopes=("models.read",))
        running.view.install_access(access_with(running.paths, [weak], sequence=2))
        forbidden = await client.post("embeddings", json=TEXTS)
        moved = replace(key_record(), tenant="elsewhere")
        running.view.install_access(access_with(running.paths, [moved], sequence=3))
        stranger = await client.post("embeddings", json=TEXTS)
        running.view.install_access(access_with(running.paths, [], sequence=4))
        revoked = [
            await client.post("embeddings", json=TEXTS),
            await house_of(running).client_for(OWNER, background=True).post("embeddings", json=TEXTS),
        ]
        none = house_of(running).encoders(OWNER)

    assert (forbidden.status_code, stranger.status_code) == (403, 401)
    assert [answer.status_code for answer in revoked] == [401, 401]
    assert revoked[0].json()["error"]["code"] == "invalid_api_key"
    assert none == ()


async def test_what_is_part_of_a_request_takes_no_second_place(tmp_path: Path) -> None:
    async with encoding(tmp_path) as running:
        limited = replace(key_record(), limits=Limits(requests_per_minute=1))
        running.view.install_access(access_with(running.paths, [limited], sequence=2))
        async with running.http() as outside:
            whole = await outside.post("/v1/embeddings", json=TEXTS)
        async with house_of(running).client_for(replace_reader(OWNER, admitted=True)) as client:
            part = await client.post("embeddings", json=TEXTS | {"input": "another"})
        async with house_of(running).client_for(OWNER) as client:
            alone = await client.post("embeddings", json=TEXTS | {"input": "a third"})

    assert (whole.status_code, part.status_code, alone.status_code) == (200, 200, 429)
    assert int(alone.headers["retry-after"]) > 0


async def test_whoever_came_with_a_token_has_his_vectors_too(tmp_path: Path) -> None:
    reader = Reader("home", f"{TOKEN_HOLDER}ada", "family", "private", "ada")
    async with encoding(tmp_path) as running, house_of(running).client_for(reader) as client:
        answer = await client.post("embeddings", json=TEXTS)
        await running.until_idle()
        (record,) = running.finished()

    assert answer.status_code == 200
    assert (record.key_id, record.user) == (f"{TOKEN_HOLDER}ada", "ada")


async def test_what_nobody_waits_for_makes_way_and_is_done_afterwards(tmp_path: Path) -> None:
    async with writing(tmp_path, "--tokens-per-s", "50") as (running, _), running.openai() as outside:
        house, context = house_of(running), running.gateway.dispatcher.context
        guests = context.guests
        async with house.client_for(OWNER, background=True) as client:
            quiet = asyncio.create_task(client.post("chat/completions", json=CHAT | {"max_tokens": 60}))
            await until(lambda: sum(guests.running.values()) == 1, "it runs")
            assert guests.wanted() == {MODEL: 1}, "its model is kept awake"
            said = await outside.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=10, stream=True
            )
            at_once = {(bool(context.ledger.in_flight), bool(guests.running)) async for _ in said}
            answer = await quiet
        made_way = [record for record in running.finished() if record.error_code == "made_way"]

    assert (True, False) in at_once
    assert (True, True) not in at_once, "nothing runs beside a request"
    assert answer.status_code == 200
    assert len(made_way) == 1
    assert guests.wanted() == {}


async def test_what_finds_no_idle_machine_is_told_to_come_back(tmp_path: Path) -> None:
    async with writing(tmp_path) as (running, _):
        running.view.install_cluster(cluster_of([], sequence=2))
        async with InHouse(running.gateway.dispatcher, patience_s=0.5).client_for(OWNER, background=True) as client:
            late = await client.post("chat/completions", json=CHAT)
            unknown = await client.post("chat/completions", json=CHAT | {"model": "nix"})

    assert (late.status_code, late.json()["error"]["code"]) == (503, "not_idle")
    assert int(late.headers["retry-after"]) > 0
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_an_answer_that_nobody_waits_for_any_more_frees_its_engine(tmp_path: Path) -> None:
    async with writing(tmp_path, "--tokens-per-s", "20") as (running, engine):
        async with house_of(running).client_for(OWNER) as client:
            asked = asyncio.create_task(client.post("chat/completions", json=CHAT | {"max_tokens": 500}))
            await until(lambda: engine.state()["active"] == 1, "the engine works on it")
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        await until(lambda: engine.state()["active"] == 0, "the engine has dropped it")
        await running.until_idle()


async def test_encoders_are_those_that_the_reader_may_use_and_the_awake_come_first(tmp_path: Path) -> None:
    names = ("asleep", MODEL, "secret", "writes")
    can = {name: frozenset[Capability]({"embed"}) for name in ("asleep", MODEL, "secret")}
    with running_fault_engine(tmp_path / "engine", "encoder", "--only-reads") as engine:
        async with running_gateway(tmp_path, [served_by(engine)], names, abilities=can) as running:
            all_of_them = house_of(running).encoders(OWNER)
            some = replace(key_record(), models=("asleep", MODEL, "writes"))
            running.view.install_access(access_with(running.paths, [some], sequence=2))
            found = house_of(running).encoders(OWNER)
            cluster = cluster_of([served_by(engine)], names, 2, can)
            away = tuple(
                replace(view, away=True) if view.name == ModelName("asleep") else view for view in cluster.models
            )
            running.view.install_cluster(replace(cluster, models=away))
            left = house_of(running).encoders(OWNER)

    assert all_of_them == (MODEL, "asleep", "secret")
    assert found == (MODEL, "asleep")
    assert left == (MODEL,)
