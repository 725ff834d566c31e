"""Asked as a stranger, this gateway does everything right; and every check has been seen to fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli.conformance.registry import CHECKS, chosen
from cli.conformance.running import Report, run
from cli.conformance.server import Target
from support.able_engine import CONTEXT, able_engine
from support.gateway import KEY, Running, access_with, engine_at, key_record, running_gateway
from support.spoiling_proxy import spoiling_proxy
from support.spoils import LENIENT, SPOILS, vectors
from support.upstream import scripted_upstream

NARROW = "pl_narrow1_" + "s" * 43
SLOWEST = "half-body"  # 30 s until it is cut
NEVER_SEEN = {"keepalive"}  # it fails after 10 s of silence


@asynccontextmanager
async def good_server(root: Path) -> AsyncIterator[Running]:
    """The real gateway before an engine that can do everything."""
    async with scripted_upstream(able_engine()) as upstream:
        engine = engine_at(upstream.address, context_tokens=CONTEXT)
        async with running_gateway(root, [engine], header_s=0.5) as running:
            narrow = replace(key_record(NARROW), models=("nothing",), role="user")
            running.view.install_access(access_with(running.paths, (key_record(), narrow), sequence=2))
            yield running


def with_verdict(report: Report, *verdicts: str) -> dict[str, str]:
    return {one.check.name: one.seen.evidence for one in report.results if one.seen.verdict in verdicts}


async def test_this_gateway_does_everything_right(tmp_path: Path) -> None:
    checks = [check for check in CHECKS if check.name != SLOWEST]
    async with good_server(tmp_path) as running:
        report = await run(Target(f"{running.base_url}/v1", KEY, NARROW, kill="true", patience_s=5.0), checks)

    assert with_verdict(report, "fail") == {}
    assert with_verdict(report, "not tried").keys() <= {"retry-after", "leave-stream", "leave-whole"}
    assert with_verdict(report, "not offered") == {
        **dict.fromkeys(("embeddings-base64", "embeddings-order", "embeddings-usage"), "toy does not embed"),
        "rerank-order": "toy does not rank",
    }


async def test_a_server_that_embeds_and_ranks_well_is_told_so(tmp_path: Path) -> None:
    async with good_server(tmp_path) as running, spoiling_proxy(running.address, vectors()) as address:
        target = Target(f"http://{address.host}:{address.port}", KEY)
        report = await run(target, chosen(("embeddings",)))

    assert with_verdict(report, "pass").keys() == {check.name for check in CHECKS if check.subject == "embeddings"}


@pytest.mark.parametrize("name", [name for name in SPOILS if name not in LENIENT])
async def test_a_server_that_does_one_thing_wrong_is_told_so(name: str, tmp_path: Path) -> None:
    async with good_server(tmp_path) as running, spoiling_proxy(running.address, SPOILS[name]) as address:
        target = Target(f"http://{address.host}:{address.port}", KEY, KEY, kill="true")
        report = await run(target, chosen((name,)))

    assert with_verdict(report, "fail").keys() == {name}, report.results[0].seen


async def test_a_proxy_that_thinks_of_nothing_is_told_all_of_it(tmp_path: Path) -> None:
    async with good_server(tmp_path) as running, spoiling_proxy(running.address) as address:
        target = Target(f"http://{address.host}:{address.port}", KEY, patience_s=2.0)
        report = await run(target, chosen(LENIENT))

    assert with_verdict(report, "fail").keys() == set(LENIENT), with_verdict(report, "pass", "not tried")


def test_every_check_is_seen_to_fail() -> None:
    assert {check.name for check in CHECKS} == SPOILS.keys() | NEVER_SEEN
    assert len({check.name for check in CHECKS}) == len(CHECKS)
