"""Joining as two machines do it: a real head with its listener, a joiner with a state directory of its own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import time

import httpx2
import pytest

from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.authority import LIFE_S
from cluster.join_client import WrongAuthorityError, fetch_authority
from cluster.join_token import JoinToken, proof_of
from cluster.service import HeadSettings, run_head
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.head_client import HeadClient, HeadPlace, HeadRefusedError, HeadSilentError
from nodes.identity import IdentityFiles, hosts_of, new_key, validity_of
from nodes.join_wire import HEAD_NAME, JoinBody, Joined, ReportBody
from nodes.membership import read_membership
from nodes.peer import peer_host
from nodes.tls_contexts import client_context, server_context, trusting
from nodes.upkeep import Upkeep, UpkeepTimes
from support.joining import Head, eventually, free_port, joined, joiner, running_head, running_node, view_of
from support.manual_clock import ManualClock
from support.nodes import until
from support.tls import TestAuthority

DAY_S = 24 * 3600


@pytest.fixture
async def head(tmp_path: Path) -> AsyncIterator[Head]:
    async with running_head(tmp_path / "head") as running:
        yield running


async def test_a_machine_joins_with_one_line_and_is_ready(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    paths = joiner(tmp_path)
    answer = await joined(paths, place, token, port=free_port())
    async with running_node(paths):
        view = await view_of(head, "mac", "ready")

    assert (answer.cluster, answer.node) == ("home", "mac")
    assert (view.link, "Ray" in view.link_reason) == ("https", True)
    assert view.address is not None and view.address.host == "127.0.0.1"
    assert view.snapshot is not None
    assert view.snapshot.certificate_ends_s == pytest.approx(time() + LIFE_S, abs=600)


async def test_after_a_restart_of_either_side_nothing_has_to_be_done(tmp_path: Path) -> None:
    paths = joiner(tmp_path)
    async with running_head(tmp_path / "head") as head:
        await joined(paths, *await head.token(), port=free_port())
        async with running_node(paths):
            await view_of(head, "mac", "ready")
        async with running_node(paths):
            await view_of(head, "mac", "ready")
    async with running_head(tmp_path / "head") as head, running_node(paths):
        await view_of(head, "mac", "ready")
        await until(lambda: len(list(paths.audit_checkpoints.glob("*.json"))) == 1, "it keeps checkpoints of the audit")
        (copy,) = await head.admin.audit_copies()

    assert (copy.member, copy.problem) == ("mac", "")


async def refusal(paths: StatePaths, place: HeadPlace, token: JoinToken, node: str = "") -> str:
    with pytest.raises(HeadRefusedError) as refused:
        await joined(paths, place, token, node)
    assert not IdentityFiles.at(paths.identity, "node").complete
    return refused.value.code


async def test_a_token_that_was_used_is_refused(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    await joined(joiner(tmp_path, "first"), place, token)

    assert await refusal(joiner(tmp_path, "second"), place, token) == "used_token"


async def test_of_two_that_join_at_once_with_one_token_one_gets_in(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    tries = (joined(joiner(tmp_path, f"machine-{number}"), place, token) for number in range(4))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)

    assert sum(isinstance(outcome, Joined) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, HeadRefusedError) for outcome in outcomes) == 3


async def test_an_expired_token_is_refused(head: Head, tmp_path: Path) -> None:
    place, token = await head.token(ttl_s=60)
    head.clock.advance(61)

    assert await refusal(joiner(tmp_path), place, token) == "expired_token"


async def test_a_longer_life_written_into_a_token_changes_nothing(head: Head, tmp_path: Path) -> None:
    place, token = await head.token(ttl_s=60)
    head.clock.advance(61)

    assert await refusal(joiner(tmp_path), place, replace(token, expires_s=token.expires_s + 9999)) == "expired_token"


async def test_a_token_for_another_name_is_refused(head: Head, tmp_path: Path) -> None:
    place, token = await head.token("mac")

    assert await refusal(joiner(tmp_path), place, token, node="server") == "wrong_name"


async def test_a_guessed_secret_is_refused_and_guessing_is_slowed_down(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    guess = replace(token, secret=bytes(32))
    codes = [await refusal(joiner(tmp_path), place, guess) for _ in range(6)]
    held_up = await refusal(joiner(tmp_path), place, token)
    head.clock.advance(61)

    assert codes == ["unknown_token"] * 5 + ["too_many_tries"]
    assert held_up == "too_many_tries"
    assert (await joined(joiner(tmp_path), place, token)).node == "mac"


async def test_a_head_of_another_authority_is_sent_nothing(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    other = replace(token, fingerprint=bytes(32))

    with pytest.raises(WrongAuthorityError, match="nothing was sent"):
        await joined(joiner(tmp_path), place, other)
    assert (await joined(joiner(tmp_path), place, token)).node == "mac"


async def test_a_recorded_join_cannot_be_played_again(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    client = HeadClient(place, trusting(await fetch_authority(place, token)))
    nonce = (await client.hello(token.token_id)).nonce
    body = JoinBody(token.token_id, nonce, "mac", 8402, "", new_key("mac").request_pem, "")
    proved = replace(body, proof=proof_of(token.secret, body))
    changed = replace(proved, request_pem=new_key("thief").request_pem)
    with pytest.raises(HeadRefusedError) as altered:
        await client.join(changed)  # the proof covers the request
    with pytest.raises(HeadRefusedError) as again:
        await client.join(proved)  # its nonce is spent

    assert (altered.value.code, again.value.code) == ("unknown_token", "replayed")


async def test_a_name_that_is_taken_gets_no_token(head: Head, tmp_path: Path) -> None:
    await joined(joiner(tmp_path), *await head.token())

    with pytest.raises(AdminRefusedError, match="potluck nodes rm mac") as refused:
        await head.token()
    assert refused.value.code == "already_member"


async def test_a_removed_node_is_cut_off_and_its_name_is_free(head: Head, tmp_path: Path) -> None:
    paths = joiner(tmp_path)
    place, token = await head.token()
    await joined(paths, place, token, port=free_port())
    identity = IdentityFiles.at(paths.identity, "node")
    member = HeadClient(place, client_context(identity))
    async with running_node(paths):
        await view_of(head, "mac", "ready")
        await head.admin.remove_node("mac")

        async def gone() -> bool:
            return all(view.node_id != "mac" for view in await head.views())

        await eventually(gone, "the head has forgotten it", deadline_s=5)
        assert await revoked(head) == (validity_of(identity.certificate.read_text()).serial,)
        for call in (member.renew(new_key("mac").request_pem), member.report(ReportBody(8402, ""))):
            with pytest.raises(HeadRefusedError, match="no longer") as refused:
                await call
            assert refused.value.code == "not_a_member"
    with pytest.raises(AdminRefusedError) as unknown:
        await head.admin.remove_node("mac")

    assert unknown.value.status == 404
    assert (await joined(joiner(tmp_path, "again"), *await head.token())).node == "mac"


async def revoked(head: Head) -> tuple[str, ...]:
    """What gateways are told to cut."""
    async for publication in head.admin.watch():
        if publication.access is not None:
            return publication.access.revoked
    raise AssertionError("the head closed the feed")


async def test_a_certificate_is_renewed_after_two_thirds_of_its_life(tmp_path: Path) -> None:
    paths = joiner(tmp_path)
    files = IdentityFiles.at(paths.identity, "node")
    async with running_head(tmp_path / "head", ago_s=5 * DAY_S) as head:
        await joined(paths, *await head.token())
        membership = read_membership(paths.identity)
        assert membership is not None
        clock, server = ManualClock(head.clock.wall_s()), server_context(files, "must_prove")
        upkeep = Upkeep(files, membership, server, clock, UpkeepTimes())
        before = files.certificate.read_text()
        await upkeep.look()
        early = files.certificate.read_text()
        clock.advance(4.7 * DAY_S)
        head.clock.advance(4.7 * DAY_S)
        await upkeep.look()
        renewed = files.certificate.read_text()
        await upkeep.look()  # with the new certificate

    assert early == before
    assert validity_of(renewed).ends_s == pytest.approx(validity_of(before).ends_s + 4.7 * DAY_S, abs=60)
    assert files.certificate.read_text() == renewed


async def test_a_machine_that_moved_gets_a_certificate_for_its_new_address(head: Head, tmp_path: Path) -> None:
    paths = joiner(tmp_path)
    files = IdentityFiles.at(paths.identity, "node")
    await joined(paths, *await head.token())
    membership = read_membership(paths.identity)
    assert membership is not None
    moved = replace(membership, host="127.0.0.7")
    await Upkeep(files, moved, server_context(files, "must_prove"), SystemClock(), UpkeepTimes()).look()

    assert "127.0.0.7" in hosts_of(files.certificate.read_text())


async def test_a_head_that_is_away_is_no_trouble_for_a_member(tmp_path: Path) -> None:
    paths = joiner(tmp_path)
    async with running_head(tmp_path / "head") as head:
        await joined(paths, *await head.token(), port=free_port())
    async with running_node(paths) as node:
        assert (await node.observe()).node_id == "mac"


async def test_the_head_renews_its_own_certificates(tmp_path: Path) -> None:
    controller = IdentityFiles.at(StatePaths.at(tmp_path / "head").identity, "controller")
    async with running_head(tmp_path / "head", ago_s=5 * DAY_S):
        old = controller.certificate.read_text()
    async with running_head(tmp_path / "head", ago_s=4 * DAY_S):
        kept = controller.certificate.read_text()
    async with running_head(tmp_path / "head"):
        new = controller.certificate.read_text()

    assert kept == old
    assert validity_of(new).begins_s > validity_of(old).begins_s


async def test_every_member_is_told_who_was_revoked(head: Head, tmp_path: Path) -> None:
    first, second = joiner(tmp_path, "first"), joiner(tmp_path, "second")
    await joined(first, *await head.token("mac"), port=free_port())
    await joined(second, *await head.token("server"), port=free_port())
    async with running_node(first):
        await view_of(head, "mac", "ready")
        await head.admin.remove_node("server")
        await until(lambda: (first.identity / "denied.json").exists(), "the deny list arrived", deadline_s=5)


async def test_strangers_and_nodes_of_other_clusters_may_not_renew(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    stranger = HeadClient(place, trusting(await fetch_authority(place, token)))
    with pytest.raises(HeadRefusedError, match="no certificate"):
        await stranger.renew(new_key("mac").request_pem)
    other = TestAuthority(tmp_path / "other").identity("node", "mac")
    own = trusting(await fetch_authority(place, token))
    own.load_cert_chain(other.certificate, other.key)
    with pytest.raises(HeadSilentError):
        await HeadClient(place, own).renew(new_key("mac").request_pem)


async def test_a_large_body_is_refused(head: Head, tmp_path: Path) -> None:
    place, token = await head.token()
    context = trusting(await fetch_authority(place, token))
    async with httpx2.AsyncClient(verify=context, trust_env=False) as client:
        answer = await client.post(
            f"https://{place}/join/v1/hello",
            content=b"x" * 20_000,
            extensions={"sni_hostname": peer_host("controller", HEAD_NAME)},
        )

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_without_a_network_address_there_are_no_tokens(tmp_path: Path) -> None:
    paths, stop = StatePaths.at(tmp_path / "lone").ensure(), asyncio.Event()
    paths.config_file.write_text("version: 1\nmodels: {}\n")
    serving = asyncio.create_task(run_head(HeadSettings(paths), (), SystemClock(), stop))
    await until(lambda: serving.done() or paths.head_socket.exists(), "the head listens")
    with pytest.raises(AdminRefusedError, match=r"cluster\.listen") as refused:
        await AdminClient(paths.head_socket).create_token("mac", 900)
    stop.set()
    await serving

    assert refused.value.code == "lan_off"
    assert not paths.ca.exists() and not paths.identity.exists()
