"""Which artifacts are ordered from node to node, and what a model's owner reads meanwhile."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.backoff import Backoff
from cluster.copies import CopyPlan, Shop, plan_copies
from cluster.desired import WantedNode
from cluster.placement import place
from cluster.placement_values import Admission, Candidate
from inventory.catalog import ArtifactFormat
from nodes.orders import ArtifactHolder, Authority
from nodes.snapshot import EngineId, EngineKind, NodeId, NodeSnapshot, PullSnapshot, PullState
from support.cluster_facts import GIB, engine, held, node, pool, wanted_models

SMOL = "  smol: {source: packaged:smollm2, engine: llamacpp, context: 2048, on: [box]}"
MAC, BOX = NodeId("mac"), NodeId("box")
NEVER_FAILED = Backoff()
CHIEF = Authority(1, 1)
GIVERS = {name: ArtifactHolder(name, f"{name}.lan", 8402) for name in (MAC, BOX)}


def plan(
    *nodes: NodeSnapshot | Candidate,
    models: str = SMOL,
    givers: dict[NodeId, ArtifactHolder] = GIVERS,
    backoff: Backoff = NEVER_FAILED,
) -> CopyPlan:
    wanted = wanted_models(models)
    candidates = [
        one if isinstance(one, Candidate) else Candidate(WantedNode(one.node_id, (), None), one) for one in nodes
    ]
    return plan_copies(wanted, candidates, place(wanted, candidates), Shop(givers, CHIEF, backoff))


def pull(state: PullState, done: int = 0, total: int | None = None, reason: str = "") -> PullSnapshot:
    ref = held("smol").ref
    return PullSnapshot(ref.name, ref.artifact_id, "gguf", state, MAC, done, total, reason)


def reason(made: CopyPlan) -> str:
    return made.placement.unplaced[0].reason


def test_what_another_machine_holds_is_copied_to_where_it_should_run() -> None:
    made = plan(node("mac", [held("smol")]), node("box"))

    order = made.orders[0]
    assert (order.node_id, order.engine_id, order.authority) == (BOX, "smol.box.1", CHIEF)
    assert (order.order.artifact_id, order.order.format) == (held("smol").ref.artifact_id, "gguf")
    assert order.order.holders == (GIVERS[MAC],)
    assert reason(made) == "to be copied from mac to box"


@pytest.mark.parametrize(
    ("shown", "told", "orders"),
    [
        (pull("copying", 40, 100), "copying from mac to box, 40 %", 0),
        (pull("copying"), "copying from mac to box", 0),
        (pull("checking", 99, 100), "checking what was copied from mac to box, 99 %", 0),
        (pull("waiting"), "to be copied from mac to box, after another model", 0),
        (pull("failed", reason="the disk is full"), "not copied from mac to box: the disk is full; trying again", 1),
    ],
)
def test_a_copy_under_way_is_told_and_not_ordered_again(shown: PullSnapshot, told: str, orders: int) -> None:
    made = plan(node("mac", [held("smol")]), replace(node("box"), pulls=(shown,)))

    assert (reason(made), len(made.orders)) == (told, orders)


def test_an_order_that_did_not_get_through_says_so() -> None:
    backoff = Backoff().after_failure(EngineId("smol.box.1"), "no answer", 0.0)

    assert reason(plan(node("mac", [held("smol")]), node("box"), backoff=backoff)).endswith("no answer; trying again")


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([node("mac"), node("box")], id="nobody holds it"),
        pytest.param([node("mac", [held("smol")]), node("box", installed=())], id="no engine there"),
        pytest.param([node("mac", [held("smol", 99 * GIB)]), node("box", pools=[pool("ram", 8)])], id="no room"),
        pytest.param([node("mac", [held("smol", format="mlx")]), node("box")], id="another format"),
        pytest.param([node("mac", [held("smol", version="2")]), node("box", [held("smol")])], id="it has its own"),
    ],
)
def test_nothing_is_copied_where_it_would_not_run(nodes: Sequence[NodeSnapshot]) -> None:
    made = plan(*nodes)

    assert made.orders == ()
    assert "cop" not in "".join(one.reason for one in made.placement.unplaced).replace("copy it", "")


def test_a_machine_that_takes_nothing_new_or_that_no_address_leads_to_is_left_out() -> None:
    closed = Candidate(WantedNode(BOX, (), None), node("box"), Admission("kept", "the machine is cordoned"))

    assert plan(node("mac", [held("smol")]), closed).orders == ()
    assert plan(node("mac", [held("smol")]), node("box"), givers={BOX: GIVERS[BOX]}).orders == ()


def test_a_second_replica_goes_to_another_machine_and_a_single_one_stays_where_the_model_is() -> None:
    anywhere = SMOL.replace(", on: [box]", "")
    nodes = node("mac", [held("smol")], pools=[pool("ram", 8)]), node("box", pools=[pool("ram", 64)])

    assert plan(*nodes, models=anywhere).orders == ()
    two = plan(*nodes, models=anywhere.replace("context", "replicas: 2, context"))
    assert [order.node_id for order in two.orders] == [BOX]


def test_what_runs_stays_where_it_runs() -> None:
    serving = node("mac", [held("smol")], engines=[engine("smol.mac.1")])
    made = plan(serving, node("box"), models=SMOL.replace("[box]", "[box, mac]"))

    assert made.orders == ()


@pytest.mark.parametrize(("kind", "format"), [("vllm", "safetensors"), ("mlx", "mlx")])
def test_each_engine_gets_the_format_that_it_reads(kind: EngineKind, format: ArtifactFormat) -> None:
    mac = node("mac", [held("smol"), held("smol", format=format, version="2")])
    made = plan(mac, node("box", installed=[kind]), models=SMOL.replace("llamacpp", kind))

    assert made.orders[0].order.format == format
    assert made.orders[0].order.artifact_id == held("smol", version="2").ref.artifact_id
