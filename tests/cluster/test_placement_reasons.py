"""A model that has no place always has a reason, and once all that is named is put right, it has a place."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.desired import WantedModel, WantedNode
from cluster.placement import place
from cluster.placement_values import Admission, Candidate
from inventory.hardware import MemoryPool
from nodes.snapshot import EngineKind, InstalledEngine
from support.cluster_facts import GIB, held, node, pool, wanted_models
from support.shapes import EVERY

KINDS: tuple[EngineKind, ...] = ("llamacpp", "vllm", "mlx")
FORMATS = {"llamacpp": "gguf", "vllm": "safetensors", "mlx": "mlx"}

machines = st.builds(
    lambda holds, installed, gib, engines, admission: Candidate(
        WantedNode(node("box").node_id, engines, None),
        node(
            "box",
            [replace(held("m", 8 * GIB, format), shape=EVERY[shape]) for format, shape in holds.items()],
            installed=sorted(installed),
            pools=[pool("ram", gib)],
        ),
        admission,
    ),
    st.dictionaries(st.sampled_from(("gguf", "safetensors", "mlx")), st.sampled_from(sorted(EVERY)), max_size=2),
    st.sets(st.sampled_from(KINDS), max_size=2),
    st.integers(0, 24),
    st.lists(st.sampled_from(KINDS), unique=True, max_size=2).map(tuple),
    st.sampled_from((Admission(), Admission("kept", "it is cordoned"), Admission("shut", "it is lost"))),
)
models = st.builds(
    lambda context, slots, *wishes: wanted_models(
        f"  m: {{source: packaged:m, context: {context}, slots: {slots}{''.join(filter(None, wishes))}}}\n"
    )[0],
    st.sampled_from((512, 8192, 65_536)),
    st.integers(1, 8),
    st.sampled_from(("", ", on: [elsewhere]")),
    st.sampled_from(("", ", where: {gpu: [yes-please, perhaps], room: '7'}")),
    st.sampled_from(("", ", replicas: {min: 1, max: 3}")),
)


def put_right(model: WantedModel, box: Candidate, reason: str) -> tuple[WantedModel, Candidate]:
    """What an owner would do who reads the reason."""
    snapshot = box.snapshot
    kinds = box.wanted.engines or model.kinds
    if "has not joined yet" in reason or "does not list this machine" in reason:
        return replace(model, on=()), box
    if "where asks for" in reason:
        key = next(key for key, values in model.where if f"for {key}={'|'.join(values)};" in reason)
        labels = tuple(sorted({**dict(box.wanted.labels), key: dict(model.where)[key][-1]}.items()))
        return model, replace(box, wanted=replace(box.wanted, labels=labels))
    if reason == box.admission.why:
        return model, replace(box, admission=Admission())
    if "no engine for it is installed" in reason:
        kind = next(kind for kind in KINDS if f"engines install {kind}`" in reason)
        return model, replace(box, snapshot=replace(snapshot, installed=(InstalledEngine(kind, "1"),)))
    if "on this machine" in reason:
        installed = {engine.kind for engine in snapshot.installed}
        kind = next(kind for kind in kinds if kind in installed)
        fetched = replace(held("m", 8 * GIB, FORMATS[kind]), shape=EVERY["dense"])  # type: ignore[arg-type]  # a format
        return model, replace(box, snapshot=replace(snapshot, models=(*snapshot.models, fetched)))
    assert "needs" in reason, reason
    roomy: tuple[MemoryPool, ...] = (pool("ram", 4096),)
    return model, replace(box, snapshot=replace(snapshot, hardware=replace(snapshot.hardware, pools=roomy)))


@given(models, machines)
def test_whoever_puts_right_what_is_named_has_the_model_placed(model: WantedModel, box: Candidate) -> None:
    told: list[str] = []
    while not (placement := place([model], [box])).assignments:
        (unplaced,) = placement.unplaced
        assert unplaced.reason
        assert unplaced.reason not in told, "what was put right is no reason any more"
        told.append(unplaced.reason)
        model, box = put_right(model, box, unplaced.reason)
