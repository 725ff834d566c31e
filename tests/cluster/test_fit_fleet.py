"""What fits where, for a fleet that is only described and for one that reports itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.config_load import load_config, parse_config
from cluster.fit_fleet import FitQuery, FitReport, FitRow, capacity_reports, fit_report
from cluster.fit_wire import document_of
from cluster.snapshot import SCHEMA_VERSION, ClusterSnapshot, NodeView
from inventory.known_models import UnknownModelError
from nodes.snapshot import EngineLoad, NodeId, NodeSnapshot
from support.cluster_facts import engine, held, node, pool
from support.shapes import DENSE, GIB

FLEET = load_config(Path(__file__).parents[2] / "cluster.yaml").config
EMPTY = parse_config("version: 1\n", "test", environment={}).config


def report(
    model: str, context: int, users: int, config: ClusterConfig = FLEET, *nodes: NodeSnapshot, **more: object
) -> FitReport:
    views = tuple(NodeView(one.node_id, "ready", "", 0.0, "local", one) for one in nodes)
    snapshot = ClusterSnapshot(SCHEMA_VERSION, "home", 1, 1, 1, 0.0, views, ()) if nodes else None
    return fit_report(FitQuery(model, context, users, **more), config, snapshot)  # type: ignore[arg-type]  # plain fields


def rows(found: FitReport) -> dict[str, FitRow]:
    return {row.node: row for row in found.rows}


def test_a_large_model_of_experts_fits_the_mac_and_nothing_else() -> None:
    """Qwen3-235B-A22B in 4 bits at 32k for 8 users: 123 GiB of weights, 47 GiB of cache that grow a step ahead,
    and an eighth of that again while an answer begins."""
    found = rows(report("qwen3-235b-a22b", 32_768, 8))

    assert {name: row.verdict.answer for name, row in found.items()} == {
        "mac-studio": "fits", "poweredge": "never", "rtx4090": "never",
    }  # fmt: skip
    need = found["mac-studio"].verdict.need
    assert need.of("weights") / GIB == pytest.approx(123.2, abs=0.1)
    assert need.of("kv cache") / GIB == pytest.approx(47.0 * (1 + 256 / 32768 + 1 / 8), abs=0.1)
    assert "its weights alone" in found["rtx4090"].verdict.why


def test_a_14b_in_awq_fits_the_4090_for_a_few_readers_and_says_for_how_many() -> None:
    row = rows(report("qwen3-14b", 16_384, 2, node="rtx4090"))["rtx4090"]

    assert (row.verdict.answer, row.quantisation) == ("fits", "awq")
    assert 2 <= row.most_users <= 5
    more = rows(report("qwen3-14b", 16_384, row.most_users + 1, node="rtx4090"))["rtx4090"]
    assert more.verdict.answer == "with changes"
    assert f"{row.most_users} instead of {row.most_users + 1} at once" in more.verdict.why


def test_llama_70b_is_told_what_would_make_it_fit_the_server() -> None:
    row = rows(report("llama-3.3-70b", 32_768, 8))["poweredge"]

    assert row.verdict.answer == "with changes"
    assert all(change.need.total_bytes <= row.verdict.room.free_bytes for change in row.verdict.changes)


def test_a_machine_that_reports_is_judged_by_its_report_and_with_what_runs_there() -> None:
    model = replace(held("qwen"), shape=DENSE)
    busy = replace(engine("qwen.box.1", ref=model.ref), context_tokens=8192, load=EngineLoad(running=1, slots=2))
    box = node("box", [model], engines=[busy], pools=[pool("ram", 24, others_gib=2)])
    row = rows(report("qwen", 8192, 2, EMPTY, box))["box"]

    assert (row.machine, row.origin) == ("reports itself", "the gguf artifact's own headers")
    assert row.verdict.room.budget_bytes == 22 * GIB
    assert [one.engine_id for one in row.verdict.room.residents] == ["qwen.box.1"]
    assert row.verdict.room.residents[0].size_bytes == row.verdict.need.total_bytes
    assert not row.verdict.room.residents[0].movable


def test_what_cluster_yaml_keeps_free_of_a_machine_that_reports_is_not_offered() -> None:
    config = parse_config("version: 1\nnodes: {box: {memory: {reserve: 20GiB}}}\n", "test", environment={}).config
    row = rows(report("qwen3-4b", 8192, 1, config, node("box", pools=[pool("ram", 24, reserved_gib=2)])))["box"]

    assert row.verdict.room.budget_bytes == 4 * GIB


def test_an_idle_engine_is_offered_up_for_a_model_that_would_not_fit_beside_it() -> None:
    model, other = replace(held("qwen"), shape=DENSE), replace(held("llama"), shape=DENSE)
    idle = replace(engine("llama.box.1", ref=other.ref), context_tokens=8192, load=EngineLoad(running=0, slots=4))
    box = node("box", [model, other], engines=[idle], pools=[pool("ram", 20)])
    row = rows(report("qwen", 8192, 4, EMPTY, box))["box"]

    assert row.verdict.answer == "after evicting"
    assert "llama.box.1" in row.verdict.why


def test_a_name_that_nobody_knows_gets_suggestions() -> None:
    with pytest.raises(UnknownModelError, match="did you mean qwen3-14b"):
        report("qwen3-14", 8192, 1)


def test_capacity_puts_the_largest_that_fits_first() -> None:
    found = capacity_reports(8192, 50, FLEET, None)
    answers = [one.rows[0].verdict.answer for one in found]

    assert found[0].query.model == "qwen3-235b-a22b"
    assert answers == sorted(answers, key=["fits", "after evicting", "with changes", "never"].index)


def test_the_document_holds_the_sum_and_its_items() -> None:
    document = document_of(report("qwen3-14b", 16_384, 2, node=NodeId("rtx4090")))
    (row,) = document.rows

    assert (document.fits, row.answer, row.node) == (True, "fits", "rtx4090")
    assert sum(item.bytes for item in row.items) == row.need_bytes
    assert all(item.how for item in row.items)
