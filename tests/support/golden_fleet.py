"""A cluster that never changes, for outputs to be compared: long names, markup in names, most states of everything."""

from dataclasses import replace
from hashlib import sha256

from cluster.admin_wire import KeyFacts
from cluster.limits import Limits
from cluster.snapshot import ClusterSnapshot, ModelView, NodeAddress, NodeView
from inventory.catalog import ArtifactFormat, ArtifactId, Capability, HeldModel, ModelName, ModelRef
from inventory.hardware import Accelerator, Disk, Hardware, Host, MemoryPool, PoolId
from inventory.known_models import known_model
from nodes.rates import Rates
from nodes.snapshot import (
    EngineKind,
    EngineLoad,
    EngineSnapshot,
    InstalledEngine,
    MemoryItem,
    MemoryTerm,
    NodeId,
    NodeSnapshot,
    PressureSnapshot,
    PullSnapshot,
)
from router.dashboard.happenings import Happening
from router.dashboard.live import Figures, Live
from support.cluster_facts import engine

GIB = 1 << 30
NOW_S = 1_800_000_000.0  # 2027-01-15 08:00 UTC
WRITES: frozenset[Capability] = frozenset({"chat", "completion", "tools"})
RATES = Rates(7512.25, 31_992.75, 0.00653, 0.0004512, 1.03e-7)


def _ref(name: str) -> ModelRef:
    digest = sha256(name.encode()).hexdigest()
    return ModelRef(ModelName(name), digest[:12], ArtifactId(digest), None, None)


def _held(name: str, format: ArtifactFormat, quantisation: str, like: str) -> HeldModel:
    known = known_model(like)
    assert known is not None
    shape = known.shape(quantisation)
    return HeldModel(_ref(name), format, shape.weight_bytes, 1_799_000_000, 40_960, WRITES, f"hf:org/{name}", shape)


def _engine(name: str, kind: EngineKind, version: str, held: HeldModel, load: EngineLoad) -> EngineSnapshot:
    assert held.shape is not None
    parts: tuple[tuple[MemoryTerm, int], ...] = (("weights", held.shape.weight_bytes), ("kv cache", 8 * GIB))
    return replace(
        engine(name, kind=kind, since_s=NOW_S - 7200, ref=held.ref),
        engine_version=version,
        context_tokens=8192,
        load=load,
        memory_bytes=held.shape.weight_bytes + 9 * GIB,
        memory_items=tuple(MemoryItem((term,), size) for term, size in parts),
        rates=RATES,
    )


def _machine(
    name: str, host: Host, pools: tuple[MemoryPool, ...], gpus: tuple[Accelerator, ...], *held: HeldModel
) -> NodeSnapshot:
    hardware = Hardware(host, pools, gpus, Disk("/srv/models", 900 * GIB, 120 * GIB), 1.5)
    return NodeSnapshot(NodeId(name), "default", NOW_S - 1.0, hardware, (), (), held)


QWEN32 = _held("qwen3-32b", "mlx", "4bit", "qwen3-32b")
QWEN14 = _held("qwen3-14b", "safetensors", "awq", "qwen3-14b")
BRACKETS = _held("[ok]", "gguf", "q4_k_m", "qwen3-8b")

_STUDIO = _machine(
    "mac-studio-in-the-attic",
    Host("macos", "26.1", "arm64", "Apple M3 Ultra", 24, 24, "boot-1"),
    (MemoryPool(PoolId("unified"), "unified", 96 * GIB, 6 * GIB, 24 * GIB),),
    (Accelerator("apple", "Apple M3 Ultra", PoolId("unified"), None, None),),
    QWEN32,
)
_RTX = _machine(
    "rtx4090",
    Host("linux", "6.1", "x86_64", "AMD Ryzen 9", 16, 32, "boot-2"),
    (
        MemoryPool(PoolId("vram:0"), "vram", 24 * GIB, 1 * GIB, 2 * GIB),
        MemoryPool(PoolId("ram"), "ram", 64 * GIB, 12 * GIB, 8 * GIB),
    ),
    (Accelerator("nvidia", "NVIDIA GeForce RTX 4090", PoolId("vram:0"), None, None),),
    QWEN14,
)
_EDGE = _machine(
    "poweredge",
    Host("linux", "6.1", "x86_64", "Intel Xeon", 32, 64, "boot-3"),
    (MemoryPool(PoolId("ram"), "ram", 128 * GIB, 90 * GIB, 12 * GIB),),
    (),
    BRACKETS,
)

NODES = (
    NodeView(
        NodeId("mac-studio-in-the-attic"), "ready", "", NOW_S - 9 * 86400, "https",
        replace(
            _STUDIO,
            installed=(InstalledEngine("mlx", "0.32.2"), InstalledEngine("llamacpp", "1.2.3")),
            engines=(
                _engine("qwen3-32b.mac-studio-in-the-attic.1", "mlx", "0.32.2", QWEN32, EngineLoad(3, 0, 8, 0.25)),
            ),
            pressure=PressureSnapshot("calm", "", NOW_S - 86400),
        ),
        labels=(("path", "[/srv/models]"), ("room", "attic")),
        address=NodeAddress("192.168.1.11", 8402),
        link_reason="its Python is 3.12, Ray's head has 3.11",
    ),
    NodeView(
        NodeId("poweredge"), "draining", "drained by the operator; 1 engine has requests", NOW_S - 600, "local",
        replace(
            _EDGE,
            installed=(InstalledEngine("llamacpp", "1.2.3"), InstalledEngine("encoder", "0.9.1")),
            engines=(_engine("ok.poweredge.1", "llamacpp", "1.2.3", BRACKETS, EngineLoad(1, 0, 4)),),
            pulls=(
                PullSnapshot(
                    QWEN14.ref.name, QWEN14.ref.artifact_id, "gguf", "copying", NodeId("rtx4090"), GIB, 9 * GIB, ""
                ),
            ),
            pressure=PressureSnapshot("short", "310.0 MiB available of 128.0 GiB", NOW_S - 120),
        ),
        duty="drain",
    ),
    NodeView(
        NodeId("rtx4090"), "ready", "", NOW_S - 9 * 86400, "ray",
        replace(
            _RTX,
            installed=(InstalledEngine("vllm", "0.32.0"),),
            engines=(
                replace(
                    _engine("qwen3-14b.rtx4090.1", "vllm", "0.32.0", QWEN14, EngineLoad(7, 2, 16, 0.96)),
                    vram_bytes=18 * GIB,
                    memory_bytes=3 * GIB,
                    cache_tokens=32_768,
                ),
            ),
            hardware=replace(_RTX.hardware, warnings=("the driver does not tell the power limit [N/A]",)),
        ),
        address=NodeAddress("192.168.1.12", 8402),
    ),
    NodeView(NodeId("pi"), "joining", "it has not reported yet", NOW_S - 5, "https", None),
)  # fmt: skip

MODELS = (
    ModelView(ModelName("qwen3-32b"), QWEN32.ref, "ready", "", 1_799_000_000, 8192, WRITES),
    ModelView(ModelName("qwen3-14b"), QWEN14.ref, "ready", "", 1_799_000_000, 8192, WRITES, note="1 of 2 replicas: "
              "poweredge is draining"),
    ModelView(ModelName("[ok]"), BRACKETS.ref, "yielding", "its machine is being emptied", 1_799_000_000, 8192, WRITES),
    ModelView(ModelName("bge-m3"), None, "starting", "loading weights", 0, None, frozenset({"embed"}), eta_s=12.0),
    ModelView(
        ModelName("qwen3-235b-a22b"), None, "unplaced",
        "no machine has room for it: mac-studio-in-the-attic is 100.1 GiB short, rtx4090 150.5 GiB",
        0, None, frozenset(),
    ),
)  # fmt: skip

BUSY = Figures(7, 3.2, 1900.0, 412.4, 2, 0.11, 0.31, 0.5, 0.02, 0.03, 0.04, 0.64)
SLOW = Figures(3, 0.4, 210.0, 61.0, 0, 1.1, 1.92, 2.5, 0.05, 0.06, 0.07, None)
LIVE = Live(
    11, 2, 3.7, 2110.0, 482.0,
    {"[ok]": Figures(1, 0.1, 40.0, 9.0, 0), "qwen3-14b": BUSY, "qwen3-32b": SLOW},
    {"mac-studio-in-the-attic": SLOW, "poweredge": Figures(1, 0.1, 40.0, 9.0), "rtx4090": BUSY},
)  # fmt: skip
EVENTS = (
    Happening(NOW_S - 900, "config", "configuration 14 is in force"),
    Happening(NOW_S - 600, "node_changed", "poweredge: ready → draining: drained by the operator [now]"),
)

CLUSTER = ClusterSnapshot(1, "home", 3, 41, 14, NOW_S - 1.0, NODES, MODELS)

KEYS = (
    KeyFacts("owner", "owner1", "admin", "default", "home", "private", None, None, False, 1_790_000_000, None, None),
    KeyFacts(
        "anna", "k3f9", "user", "family", "home", "private", ("inference",), ("qwen3-*", "[ok]"), False, 1_799_000_000,
        int(NOW_S) + 90 * 86400, None, Limits(requests_per_minute=60, tokens_per_day=200_000), 3600,
    ),
    KeyFacts(
        "open-webui in the living room", "k7aa", "user", "front-ends", "home", "private", None, None, True,
        1_799_900_000, None, None,
    ),
    KeyFacts("old", "k000", "user", "default", "home", "private", None, None, False, 1_700_000_000, None, 1_750_000),
)  # fmt: skip
