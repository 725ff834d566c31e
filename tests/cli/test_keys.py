"""`potluck keys` against a real head, and a gateway that hears of every change."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from cluster.admin_client import AdminClient
from cluster.key_order import KeyOrder
from cluster.service import HeadSettings
from inventory.paths import StatePaths
from inventory.secret_files import read_secret
from nodes.role_lock import running
from router.service import run_gateway
from router.settings import GatewaySettings
from support.cluster_facts import held, node
from support.command import Place
from support.fake_node import FakeNode
from support.heads import running_head


@asynccontextmanager
async def cluster(root: Path) -> AsyncIterator[tuple[Place, httpx2.AsyncClient]]:
    """A head and its gateway, and a client of it without any key."""
    paths, stop = StatePaths.at(root / "state").ensure(), asyncio.Event()
    machine = FakeNode(node("box", [held("smollm2")]))
    async with running_head(HeadSettings(paths), [machine]), asyncio.TaskGroup() as tasks:
        tasks.create_task(run_gateway(GatewaySettings(paths, drain_s=1.0), stop))
        try:
            while (found := running(paths.run, "gateway")) is None or found.endpoint is None:  # noqa: ASYNC110 - a poll with a deadline
                await asyncio.sleep(0.01)
            async with httpx2.AsyncClient(base_url=found.endpoint.removesuffix("/v1"), trust_env=False) as client:
                yield Place(paths.root), client
        finally:
            stop.set()


async def until_status(client: httpx2.AsyncClient, key: str, status: int) -> httpx2.Response:
    """Once the gateway has heard of a change."""
    async with asyncio.timeout(30):
        while True:
            answer = await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.02)


@pytest.mark.e2e
async def test_a_key_is_made_used_rotated_and_revoked(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (place, client):
        made = await place.potluck(
            "keys",
            "create",
            "--name",
            "class-7b",
            "--group",
            "7b",
            "--model",
            "smol*",
            "--expires",
            "90d",
            "--answers-kept",
            "2h",
        )
        first = made.out.strip()
        await until_status(client, first, 200)
        rotated = await place.potluck("keys", "rotate", "class-7b", "--yes", "--json")
        second = json.loads(rotated.out)["key"]
        await until_status(client, second, 200)
        await until_status(client, first, 401)
        listed, sheet = await place.potluck("keys", "ls"), await place.potluck("keys", "inspect", "class-7b")
        factor = await place.potluck("keys", "totp", "class-7b")
        with_one = await place.potluck("keys", "inspect", "class-7b")
        replaced = json.loads((await place.potluck("keys", "totp", "class-7b", "--yes", "--json")).out)
        without = await place.potluck("keys", "totp", "class-7b", "--off", "--yes")
        revoked = await place.potluck("keys", "revoke", "class-7b", "--yes")
        refused = await until_status(client, second, 401)
        every = json.loads((await place.potluck("keys", "ls", "--all", "--json")).out)["keys"]

    assert re.fullmatch(r"pl_[0-9a-f]{10}_[\w-]{43}", first)
    assert (made.status, rotated.status, revoked.status) == (0, 0, 0)
    assert "not shown again" in made.err and first not in made.err
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert [line.split()[0] for line in listed.out.splitlines()] == ["NAME", "owner", "class-7b"]
    assert "valid for 90 d" in sheet.out and "smol*" in sheet.out and "given again for 2 h" in sheet.out
    address = factor.out.strip()
    assert re.fullmatch(r"otpauth://totp/potluck%20\w+:class-7b\?secret=[A-Z2-7]{32}&issuer=potluck%20\w+", address)
    assert "not shown again" in factor.err and "█" in factor.err and address not in factor.err
    assert "authenticator app" in with_one.out and "no second factor" in sheet.out + without.err
    assert replaced["address"].startswith("otpauth://") and replaced["address"] != address
    told = listed.out + sheet.out + revoked.err
    assert first.split("_", 2)[2] not in told and second.split("_", 2)[2] not in told
    assert [(key["name"], key["revoked_s"] is None) for key in every] == [
        ("owner", True), ("class-7b", False), ("class-7b", False)
    ]  # fmt: skip
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert first.encode() not in kept and second.encode() not in kept
    assert address.partition("secret=")[2][:32].encode() not in kept


@pytest.mark.e2e
async def test_what_makes_no_sense_is_refused_with_a_reason_and_an_exit_code(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (place, _):
        cases = {
            "potluck keys rotate-owner": (1, ("revoke", "owner", "--yes")),
            "king is not one of inference": (2, ("create", "--name", "b", "--scope", "king")),
            "is not a duration": (2, ("create", "--name", "b", "--expires", "soon")),
            "did you mean owner?": (4, ("inspect", "ownr")),
        }
        for message, (status, arguments) in cases.items():
            done = await place.potluck("keys", *arguments)
            assert (done.status, done.out) == (status, ""), arguments
            assert message in re.sub(r"[│\s]+", " ", done.err), done.err


@pytest.mark.e2e
async def test_a_rotated_owner_key_works_at_once_and_the_old_one_does_not(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (place, client):
        old = (await place.potluck("keys", "show-owner")).out.strip()
        await until_status(client, old, 200)
        rotated = await place.potluck("keys", "rotate-owner", "--yes")
        new = (await place.potluck("keys", "show-owner")).out.strip()
        await until_status(client, new, 200)
        await until_status(client, old, 401)

    assert (rotated.status, old == new) == (0, False)


async def test_the_owners_key_and_those_of_others_come_and_go_apart(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (place, client):
        paths = StatePaths.at(place.root)
        admin = AdminClient(paths.head_socket)
        user = (await admin.create_key(KeyOrder("anna"))).key
        owner = read_secret(paths.owner_key)
        await until_status(client, user, 200)
        await admin.rotate_owner()
        await until_status(client, owner, 401)
        await until_status(client, read_secret(paths.owner_key), 200)
        await until_status(client, user, 200)
