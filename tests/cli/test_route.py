"""`potluck route` as an operator types it: what is on record, and what a running gateway would decide now."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.relay.contract import Address
from nodes.role_lock import RoleLock
from router.cost import Ask
from router.decision_record import DecisionNote, encoded, record_of
from router.telemetry import TelemetryWriter
from support.command_here import potluck
from support.decisions import CPU, NAMES, counted, decision_of, note_of, on
from support.engines import running_fault_engine
from support.gateway import KEY, MODEL, engine_at, running_gateway
from support.leaks import CANARY

route = partial(potluck, "route")
A, B, C = NAMES[:3]
MEASURED = decision_of([on(CPU, in_flight=1), on(backlog_s=3.0), on(CPU, cached_tokens=3968)], Ask(6180, 212.0))
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}], "max_tokens": 4, "stream": True}


def recorded(root: Path, notes: Sequence[DecisionNote]) -> StatePaths:
    paths = StatePaths.at(root / "state").ensure()
    writer = TelemetryWriter(paths.telemetry_db, SystemClock())
    writer.decided(notes)
    writer.close()
    return paths


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    now_s = SystemClock().wall_s()
    out = msgspec.structs.replace(MEASURED, rejected=[("pi.old.1", "node draining: asked for")])
    notes = [
        note_of(out, request_id="req_a", decided_wall_s=now_s - 7200, observed_s=2.0, tries=2),
        note_of(counted({A: 1, B: 3}), request_id="req_b", decided_wall_s=now_s - 3600, model="small"),
        note_of(MEASURED, request_id="req_c", decided_wall_s=now_s - 60, observed_s=8.0),
    ]
    return recorded(tmp_path, notes)


def test_a_decision_is_explained_by_its_request(paths: StatePaths) -> None:
    head, chosen, first_token, margin, smallest, *rest = route(paths, "explain", "req_a").stdout.splitlines()

    assert head.startswith("req_a  20") and head.endswith("qwen3-30b-a3b  6,180 prompt tokens, about 212 to answer")
    assert chosen == f"-> {B} on here (least_cost, policy seconds, try 2)"
    assert first_token.startswith("first token: predicted after 3.9") and first_token.endswith("observed after 2.00 s")
    assert margin.endswith(f" s ahead of {C}")
    assert smallest.startswith("smallest change: ") and " wins if " in smallest
    table = [line.split() for line in rest if line.startswith("qwen3")]
    assert [row[0] for row in table] == [B, C, A]
    header = next(line for line in rest if line.startswith("ENGINE")).split()
    assert header == ["ENGINE", "NODE", "COST", "s", "WAIT", "PREFILL", "DECODE", "IN", "FLIGHT", "CACHED"]
    assert [row[-1] for row in table] == ["0", "3,968", "0"]
    assert rest[-1].split() == ["pi.old.1", "node", "draining:", "asked", "for"]


def test_requests_that_an_engine_has_from_elsewhere_are_shown_with_the_age_of_its_word(tmp_path: Path) -> None:
    shared = decision_of([on(in_flight=3, strangers=2, strangers_age_s=1.25), on(CPU)], Ask(100, 20.0))
    paths = recorded(tmp_path, [note_of(shared, request_id="req_d", decided_wall_s=SystemClock().wall_s())])

    shown = route(paths, "explain", "req_d").stdout
    assert "OF OTHERS" in shown and "2, 1.2 s ago" in shown
    first = json.loads(route(paths, "explain", "req_d", "--json").stdout)["ranking"][0]
    assert (first["strangers"], first["strangers_age_s"]) == (2, 1.25)


def test_json_has_terms_that_sum_to_the_cost_and_every_change(paths: StatePaths) -> None:
    document = json.loads(route(paths, "explain", "req_a", "--json").stdout)

    assert (document["kind"], document["chosen"], document["reason"]) == ("RouteExplanation", B, "least_cost")
    for one in document["ranking"]:
        assert abs(sum(one["terms"].values()) - one["total"]) <= 1e-9
    assert document["smallest"] == document["flips"][0]
    assert {"kind", "engine_id", "amount", "share", "winner", "words"} == document["smallest"].keys()


def test_costs_that_are_as_good_as_equal_are_said_to_be(tmp_path: Path) -> None:
    near = note_of(decision_of([on(in_flight=1), on(home=True)]), decided_wall_s=SystemClock().wall_s())
    said = route(recorded(tmp_path, [near]), "explain", "--last").stdout

    assert f"as good as equal with {A}: the session's home decides" in said
    assert said.splitlines()[-2].split()[-2:] == ["lives", "here"]


def test_the_last_is_that_of_its_model(paths: StatePaths) -> None:
    assert route(paths, "explain", "--last").stdout.startswith("req_c ")
    small = route(paths, "explain", "--last", "--model", "small").stdout
    assert small.startswith("req_b ") and "0.500 requests per slot ahead of" in small
    assert "model nix" in route(paths, "explain", "--last", "--model", "nix", expect=4).stderr


def test_a_request_that_has_no_record_is_not_found(paths: StatePaths, tmp_path: Path) -> None:
    assert "no decision of request req_x is on record" in route(paths, "explain", "req_x", expect=4).stderr
    empty = StatePaths.at(tmp_path / "empty").ensure()
    assert "the gateway writes it, on its own machine" in route(empty, "explain", "req_x", expect=4).stderr
    assert "no decision is on record" in route(empty, "replay", expect=4).stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "name one of"),
        (("req_a", "--last"), "name one of"),
        (("--dry-run",), "needs --model and --prompt-tokens"),
        (("--dry-run", "--model", "toy"), "needs --model and --prompt-tokens"),
    ],
)
def test_what_makes_no_sense_is_refused(paths: StatePaths, arguments: tuple[str, ...], word: str) -> None:
    said = route(paths, "explain", *arguments, expect=2).stderr

    assert word in " ".join(said.replace("│", " ").split())


def test_recorded_decisions_are_decided_anew(paths: StatePaths) -> None:
    assert route(paths, "replay").stdout == "3 decisions: 3 with the same winner, 3 the same to the last term\n"
    assert route(paths, "replay", "--model", "small").stdout.startswith("1 decisions: 1 ")
    assert json.loads(route(paths, "replay", "--since", "30m", "--json").stdout)["decisions"] == 1


def test_one_that_would_be_decided_otherwise_is_told_and_ends_with_one(paths: StatePaths) -> None:
    record = record_of(note_of(MEASURED, request_id="req_odd", decided_wall_s=SystemClock().wall_s()))
    first, second, third = record.rows
    odd = encoded(msgspec.structs.replace(record, rows=(second, first, third)))
    with closing(sqlite3.connect(paths.telemetry_db, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO decisions (decided_s, request_id, model, node_id, record) VALUES (?, 'req_odd', 'm', 'n', ?)",
            (record.decided_wall_s, odd),
        )
    said = route(paths, "replay", expect=1).stdout.splitlines()

    assert said[0] == "4 decisions: 3 with the same winner, 3 the same to the last term"
    assert said[1].startswith("req_odd  ")
    assert said[2] == f"  {second.engine_id} was chosen, now it is {first.engine_id}"
    document = json.loads(route(paths, "replay", "--json", expect=1).stdout)
    assert document["different"][0]["was"] == second.engine_id


def test_predictions_are_shown_beside_what_was_observed(paths: StatePaths) -> None:
    (row,) = json.loads(route(paths, "accuracy", "--json").stdout)["nodes"]
    assert (row["node_id"], row["requests"]) == ("here", 2)
    assert 0.5 < row["median_error"] < 0.8 and row["p90_error"] == pytest.approx(0.96, abs=0.05)

    assert route(paths, "accuracy").stdout.splitlines()[1].split()[:2] == ["here", "2"]
    nothing = route(paths, "accuracy", "--model", "small")
    assert nothing.stdout.split() == ["NODE", "REQUESTS", "OBSERVED/PREDICTED", "ERROR", "P90"]
    assert "no request since then has both" in nothing.stderr


def test_without_a_gateway_nobody_can_say_what_it_would_decide(paths: StatePaths) -> None:
    said = route(paths, "explain", "--dry-run", "--model", "toy", "--prompt-tokens", "9", expect=6).stderr

    assert "no gateway runs in" in said and "machine of the gateway" in said


async def test_a_request_is_explained_after_it_and_before_the_next(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "state").ensure()
    telemetry = TelemetryWriter(paths.telemetry_db, SystemClock())
    with running_fault_engine(tmp_path / "engine", "llamacpp", "--model-name", MODEL) as engine:
        engines = [engine_at(Address("127.0.0.1", engine.port), name) for name in ("a", "b")]
        async with running_gateway(tmp_path, engines, sinks=(telemetry,)) as running, running.http() as client:
            write_secret(paths.owner_key, KEY)
            lock = RoleLock(paths.run, "gateway")
            lock.acquire()
            lock.publish(f"{running.base_url}/v1")
            answer = await client.post("/v1/chat/completions", json=CHAT)
            running.finished()
            await asyncio.to_thread(telemetry.close)
            last = await asyncio.to_thread(route, paths, "explain", answer.headers["x-request-id"], "--json")
            ahead = await asyncio.to_thread(route, paths, *_dry("toy"), "--json")
            too_long = await asyncio.to_thread(route, paths, *_dry("toy", "90000"), expect=3)
            unknown = await asyncio.to_thread(route, paths, *_dry("nix"), expect=4)
            of_class = await asyncio.to_thread(route, paths, *_dry("toy"), "--class", "private", "--json")
            of_no_class = await asyncio.to_thread(route, paths, *_dry("toy"), "--class", "exam", expect=1)
            lock.release()
            in_flight = running.in_flight

    document = json.loads(last.stdout)
    assert (document["chosen"], document["reason"]) == ("a", answer.headers["x-potluck-route-reason"])
    assert CANARY not in last.stdout and CANARY.encode() not in paths.telemetry_db.read_bytes()
    document = json.loads(ahead.stdout)
    assert (document["request_id"], document["model"], document["node_id"]) == (None, "toy", "here")
    assert [one["engine_id"] for one in document["ranking"]] == ["a", "b"]
    assert "-> nobody (nobody, policy seconds)" in too_long.stdout and "cannot fit" in too_long.stdout
    assert "`nix`" in unknown.stderr
    assert json.loads(of_class.stdout)["ranking"] == document["ranking"]
    assert "there is no privacy class `exam`" in of_no_class.stderr
    assert in_flight == 0


def _dry(model: str, prompt_tokens: str = "100") -> tuple[str, ...]:
    return "explain", "--dry-run", "--model", model, "--prompt-tokens", prompt_tokens, "--output-tokens", "20"
