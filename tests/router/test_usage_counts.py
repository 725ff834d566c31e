"""Usage of many requests of all sorts, against engines that know what they made for each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from nodes.snapshot import EngineKind
from router.accounting import RequestRecord
from router.usage_query import UsageQuery, read_usage, total_of
from support.engines import KINDS, running_fault_engine
from support.fault_engine.answers import Answer
from support.gateway import MODEL, running_gateway, served_by
from support.mixed_requests import Got, Mix, Wanted, ask_all, mixed
from support.nodes import until
from support.records import written

pytestmark = pytest.mark.e2e
REQUESTS = int(os.environ.get("POTLUCK_USAGE_REQUESTS", "340"))  # with each kind of engine


@dataclass(frozen=True)
class Ended:
    """One request, as its client, the gateway and its engine know it."""

    got: Got
    record: RequestRecord
    made: Answer | None  # None where no engine heard of it


async def run(tmp_path: Path, kind: EngineKind, wanted: Sequence[Wanted], *faults: str) -> list[Ended]:
    flags = ("--model-name", MODEL, "--tokens-per-s", "500", *faults)
    with running_fault_engine(tmp_path / "engine", kind, *flags) as engine:
        async with running_gateway(tmp_path, [served_by(engine)]) as running, running.http() as client:
            seen = {got.wanted.name: got for got in await ask_all(client, wanted, together=16)}
            await running.until_idle(20)
            await until(lambda: engine.state()["active"] == 0, "the engine has ended them all")
            made, records = engine.answers(), running.finished()
    unheard = seen.keys() - {record.client_request_id for record in records}
    assert all(seen[name].status is None for name in unheard)  # they left before they had said what they want
    return [Ended(seen[str(one.client_request_id)], one, made.get(one.request_id)) for one in records]


@pytest.mark.parametrize("kind", KINDS)
async def test_usage_is_what_engines_counted_and_within_the_tokens_in_flight_where_clients_left(
    tmp_path: Path, kind: EngineKind
) -> None:
    several = 0.0 if kind == "mlx" else 0.1  # it gives one answer
    wanted = mixed(REQUESTS, Mix(MODEL, several=several), seed=5)
    ended = await run(tmp_path, kind, wanted, "--reasoning-tokens", "3")
    completed = [one for one in ended if one.record.outcome == "ok"]
    left = [one for one in ended if one.record.outcome == "cancelled"]
    refused = [one for one in ended if one.record.outcome == "client_error"]

    assert len(completed) + len(left) + len(refused) == len(ended) > 0.8 * REQUESTS
    for one in completed:
        assert counted(one.record) == engine_count(one.made, kind)
        assert one.record.tokens_exact
    for one in left:
        assert one.got.events <= (one.record.output_tokens or 0) <= made_by(one)
        assert not one.record.tokens_exact
        if one.record.output_tokens is not None:
            assert one.made is not None
            assert one.record.input_tokens is not None
            assert one.record.input_tokens == one.made.prompt or kind != "llamacpp"  # it told on the way
    for one in refused:
        assert (one.record.input_tokens, one.record.output_tokens, one.made) == (None, None, None)
    path = written(tmp_path / "telemetry.db", *(one.record for one in ended))
    sums = total_of(read_usage(path, UsageQuery(("key",), 0, 2**33)))
    assert sums.input_tokens == sum(one.record.input_tokens or 0 for one in ended)
    assert sums.output_tokens - sum(one.record.output_tokens or 0 for one in left) == sum(
        one.made.tokens for one in completed if one.made
    )
    assert (sums.requests, sums.cancelled, sums.refused) == (len(ended), len(left), len(refused))
    print(figures(kind, completed, left))


async def test_an_engine_that_puts_several_tokens_into_an_event_is_learnt_from_what_it_finished(tmp_path: Path) -> None:
    finished = mixed(40, Mix(MODEL, leaving=0.0, longest=100), seed=5)
    broken_off = mixed(40, Mix(MODEL, leaving=1.0, longest=400), seed=6)
    ended = await run(tmp_path, "vllm", [*finished, *broken_off], "--tokens-per-event", "4")
    left = [one for one in ended if one.record.outcome == "cancelled" and one.got.events > 5]
    counts = sum(one.record.output_tokens or 0 for one in left), sum(made_by(one) for one in left)

    assert len(left) > 5
    assert 0.7 < counts[0] / counts[1] <= 1.0, counts


def counted(record: RequestRecord) -> tuple[int | None, ...]:
    return record.input_tokens, record.cached_tokens, record.output_tokens, record.reasoning_tokens


def engine_count(made: Answer | None, kind: EngineKind) -> tuple[int | None, ...]:
    """As far as this kind tells."""
    assert made is not None
    cached, reasoning = (None, made.reasoning) if kind == "vllm" else (made.cached, None)
    return made.prompt, cached, made.tokens, reasoning


def made_by(one: Ended) -> int:
    return one.made.tokens if one.made is not None else 0


def figures(kind: EngineKind, completed: list[Ended], left: list[Ended]) -> str:
    in_flight = sorted(made_by(one) - (one.record.output_tokens or 0) for one in left)
    output = sum(one.record.output_tokens or 0 for one in completed)
    return (
        f"RESULT usage engine=fault-{kind} requests={REQUESTS} completed={len(completed)} "
        f"completed_output={output}/{sum(map(made_by, completed))} left={len(left)} "
        f"in_flight_median={in_flight[len(in_flight) // 2]} in_flight_most={in_flight[-1]}"
    )
