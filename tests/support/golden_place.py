"""A state directory that is the same each time, and a head and a gateway that answer: for outputs to be compared."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cluster.admin_wire import (
    AuditCopyList,
    ConfigApplied,
    KeyList,
    KeyMade,
    MemberRemoved,
    NodeLog,
    PseudonymRevealed,
    RotatedKey,
    SubjectErased,
    TokenMade,
)
from cluster.audit_records import POTLUCK, AuditEvent, Personal
from cluster.audit_trail import open_trail
from cluster.fit import Workload, need_of
from cluster.fit_ledger import corrected
from cluster.ledger_report import ledger_document
from cluster.model_wishes import ModelWish
from cluster.plan_values import Arrival, ConfigPlan, EngineChange, PoolChange, Shortage, Sleep
from cluster.wishes import NodeWish
from inventory.catalog import ModelName
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from inventory.store import ModelStore
from nodes.engine_envs import MARKER, EngineEnvironment
from nodes.role_lock import RoleLock, ServiceRole
from nodes.snapshot import MemoryItem, NodeId
from router.batches.store import BatchStore
from router.batches.values import BatchRow, LineAnswer, LineSpan, Owner
from router.cache_store import CacheStore, Entry, Kind
from router.cost import Ask
from router.dashboard.state import document, state_of
from router.decision_record import record_of
from router.explain import explain
from router.request import Identity
from router.telemetry import TelemetryWriter
from support.decisions import CPU, NAMES, counted, decision_of, note_of, on
from support.gguf_files import write_gguf
from support.golden_documents import ANSWERS as DOCUMENTS
from support.golden_fleet import CLUSTER, EVENTS, GIB, KEYS, LIVE, NOW_S
from support.ledgers import MIB, start
from support.manual_clock import ManualClock
from support.records import a_record
from support.scripted import answering, answering_on_loopback
from support.shapes import DENSE

KEY = "pl_owner1_" + "s" * 43
CONFIG = """\
version: 1
cluster: {name: home, listen: 192.168.1.10}
models:
  "small": {source: "file:/srv/models/[small].gguf", context: 8192}
"""
MEASURED = decision_of([on(CPU, in_flight=1), on(backlog_s=3.0), on(CPU, cached_tokens=3968)], Ask(6180, 212.0))
PLAN = ConfigPlan(
    revision=14,
    pools=(PoolChange("poweredge", "ram", 26 * GIB, 0, 4 * GIB), PoolChange("rtx4090", "vram:0", None, GIB, 0)),
    engines=(
        EngineChange("small.poweredge.1", "poweredge", "small", "llamacpp", "start", "", 4 * GIB),
        EngineChange(
            "qwen3-32b.mac-studio-in-the-attic.1", "mac-studio-in-the-attic", "qwen3-32b", "mlx", "restart",
            "context 2048 -> 4096", 4 * GIB, 12.5,
        ),
        EngineChange("ok.poweredge.1", "poweredge", "[ok]", "llamacpp", "stay", "", 4 * GIB),
    ),
    left_out=(Shortage("qwen3-235b-a22b", 0, 1, 1, "it needs 172.1 GiB, and no machine has more than 66.0 GiB"),),
    could_grow=(Shortage("qwen3-14b", 1, 1, 2, "no room beside ok.poweredge.1"),),
    arrivals=(Arrival("small", "", None, None, "file:/srv/models/[small].gguf"),),
    asleep=(Sleep("bge-m3", "nobody asks for it"),),
)  # fmt: skip

NODE_LINE = '{"event": "node_ready", "level": "info", "role": "node", "timestamp": "2027-01-15T07:00:00.000000Z"}\n'


@dataclass(frozen=True)
class GoldenPlace:
    paths: StatePaths
    port: int

    def masked(self, text: str) -> str:
        """Without what no two runs have in common. What stands instead is as long: columns stay where they are."""
        port, root = str(self.port), str(self.paths.root)
        return text.replace(f":{port}/", f":{'#' * len(port)}/").replace(root, "/tmp/potluck-" + "#" * 8)


@contextmanager
def golden_place() -> Iterator[GoldenPlace]:
    """Nothing of it is changed by commands that only look."""
    # Below /tmp and of one length: a path in a table moves the columns behind it.
    root = Path(tempfile.mkdtemp(prefix="potluck-", dir="/tmp"))
    try:
        paths = StatePaths.at(root).ensure()
        _fill(paths)
        with ExitStack() as stack:
            stack.enter_context(answering(paths.head_socket, _of_the_head(paths)))
            port = stack.enter_context(answering_on_loopback(_of_the_gateway()))
            roles: tuple[ServiceRole, ...] = ("up", "gateway")
            for role in roles:
                lock = RoleLock(paths.run, role)
                lock.acquire()
                stack.callback(lock.release)
                lock.publish(f"http://127.0.0.1:{port}/v1" if role == "gateway" else None)
            yield GoldenPlace(paths, port)
    finally:
        shutil.rmtree(root)


def _of_the_head(paths: StatePaths) -> dict[str, object]:
    anna, wish, workload = (
        KEYS[1],
        NodeWish(NodeId("rtx4090"), "cordon", (("room", "attic"),)),
        Workload("llamacpp", DENSE, 8192, 4),
    )
    exact = (MemoryItem(("weights",), need_of(workload).of("weights")),)
    starts = [start(workload, 100 * MIB, 1, exact), start(workload, 0, 2, exact, served=False)]
    made, node = KeyMade("pl_k3f9_" + "n" * 43, anna), "/api/v1/nodes/rtx4090"
    return {
        "GET /api/v1/snapshot": CLUSTER,
        "POST /api/v1/config": ConfigApplied(15, changed=True),
        "POST /api/v1/config/plan": PLAN,
        "GET /api/v1/keys": KeyList(KEYS),
        "POST /api/v1/keys": made,
        "POST /api/v1/keys/anna/rotate": made,
        "PUT /api/v1/keys/anna/limits": anna,
        "DELETE /api/v1/keys/anna": anna,
        "POST /api/v1/keys/owner/rotate": RotatedKey("owner2", str(paths.owner_key)),
        "POST /api/v1/tokens": TokenMade("potluck join 192.168.1.10:8401 --token pj1_" + "t" * 60, int(NOW_S) + 900),
        f"DELETE {node}": MemberRemoved("rtx4090"),
        f"POST {node}/cordon": wish,
        f"POST {node}/uncordon": wish,
        f"POST {node}/drain": wish,
        f"PUT {node}/labels": wish,
        "POST /api/v1/models/qwen3-14b/load": ModelWish(ModelName("qwen3-14b"), away=False, since_s=NOW_S),
        "POST /api/v1/models/qwen3-14b/unload": ModelWish(ModelName("qwen3-14b"), away=True, since_s=NOW_S),
        f"GET {node}/logs": NodeLog(NODE_LINE + "loaded [ok] in 1.2 s\n\x1b[31mred\x1b[0m"),
        "GET /api/v1/fit/ledger": ledger_document(starts, lambda build: corrected(build, starts), None),
        "GET /api/v1/audit/copies": AuditCopyList(()),
        "POST /api/v1/audit/erase": SubjectErased("subject:5f1c"),
        "POST /api/v1/pii/reveal": PseudonymRevealed("iban", "ES91 2100 0418 4502 0005 1332"),
    }


def _of_the_gateway() -> dict[str, object]:
    served = [
        {"id": name, "object": "model", "context_length": 8192, "capabilities": ["chat"]}
        for name in ("qwen3-14b", "[ok]")
    ]
    return {
        **DOCUMENTS,
        "GET /api/v1/state": document(state_of(CLUSTER, 0.4, "http://home.local:8400/v1", LIVE, EVENTS)),
        "GET /v1/models": {"object": "list", "data": served},
        "POST /api/v1/route/explain": msgspec.structs.replace(
            explain(record_of(note_of(MEASURED))), request_id=None, observed_s=None
        ),
    }


def _fill(paths: StatePaths) -> None:
    paths.config_file.write_text(CONFIG)
    (paths.root / "letter.txt").write_text(
        "Ana, DNI 12345678Z, ana@example.com.\nPedido 612345678, IBAN ES9121000418450200051332.\n"
    )
    write_secret(paths.owner_key, KEY)
    file = write_gguf(paths.root / "[small].gguf")
    ModelStore(paths.models, ManualClock(wall_s=NOW_S - 86400)).import_path(file, "small")
    _logs(paths)
    _engines(paths)
    _records(paths)
    _batches(paths)
    _cache(paths)
    _audit(paths)


def _logs(paths: StatePaths) -> None:
    paths.node_name.write_text("poweredge")
    written = {
        "node": (
            '{"engine": "ok.poweredge.1", "state": "ready", "reason": "answers after 2.4 s", "event": "engine_state", '
            '"role": "node", "level": "info", "timestamp": "2027-01-15T07:59:30.250000Z"}\n'
            '{"path": "/srv/[models]", "event": "disk_is_full", "role": "node", "level": "warning", '
            '"timestamp": "2027-01-15T07:59:31.000000Z", "prompt": "this field is known to nobody"}\n'
        ),
        "gateway": (
            '{"model": "qwen3-14b", "event": "feed_lost", "reason": "the head closed the feed", "wait_s": 0.1, '
            '"role": "gateway", "level": "info", "timestamp": "2027-01-15T07:59:30.500000Z"}\n'
            "Traceback (most recent call last):\n  \x1b[31mRuntimeError: [red]\n"
        ),
        "engine-[ok].poweredge.1": "load: 36 layers of [ok]\n",
    }
    for name, text in written.items():
        file = paths.logs / f"{name}.log"
        file.write_text(text)
        os.utime(file, (NOW_S - 28, NOW_S - 28))


def _engines(paths: StatePaths) -> None:
    place = paths.root / "engines" / "llamacpp"  # never one that POTLUCK_ENGINES_DIR shares
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch(mode=0o700)
    found = EngineEnvironment("llamacpp", "1.2.3", "3.11", "0" * 64, NOW_S, size_bytes=300 * MIB)
    (place / MARKER).write_bytes(msgspec.json.encode(found))


def _records(paths: StatePaths) -> None:
    writer = TelemetryWriter(paths.telemetry_db, ManualClock(wall_s=NOW_S))
    early = NOW_S - 3600
    writer.record([
        a_record(1, key_id="k3f9", arrived_wall_s=early, input_tokens=1200, cached_tokens=200, output_tokens=34),
        a_record(2, key_id="k7aa", group="front-ends", arrived_wall_s=early, model="[ok]", node_id="poweredge"),
        a_record(3, key_id="k3f9", arrived_wall_s=early, tokens_exact=False, outcome="cancelled", status=499),
    ])  # fmt: skip
    out = msgspec.structs.replace(MEASURED, rejected=[("ok.poweredge.1", "node draining: drained by the operator")])
    writer.decided([
        note_of(out, request_id="req_a", decided_wall_s=NOW_S - 7200, observed_s=2.0, tries=2),
        note_of(counted({NAMES[0]: 1, NAMES[1]: 3}), request_id="req_b", decided_wall_s=NOW_S - 3600, model="small"),
        note_of(MEASURED, request_id="req_c", decided_wall_s=NOW_S - 60, observed_s=8.0),
    ])  # fmt: skip
    writer.close()


def _batches(paths: StatePaths) -> None:
    store, created_s = BatchStore(paths), int(NOW_S) - 3600
    identity = Identity("k3f9", "home", "family", "user", "private", frozenset())
    times = {"validating": created_s, "expires": created_s + 86_400}
    batch = BatchRow(
        "batch_begun", Owner("home", "k3f9", ""), identity, "/v1/embeddings", "file-1", None, "validating", times
    )
    store.save(batch)
    batch = msgspec.structs.replace(batch, status="in_progress")
    store.begin(batch, [LineSpan(at, str(at), "toy", 0, 0) for at in range(1500)])
    store.settle(batch.batch_id, 3, LineAnswer(200, "req_1", b"{}"), failed=False)
    store.close()


def _cache(paths: StatePaths) -> None:
    store = CacheStore(paths.cache_db, ManualClock(wall_s=NOW_S), lambda: GIB)
    kept: tuple[tuple[Kind, str, str, int], ...] = (
        ("answers", "home", "[ok]", 3 * MIB),
        ("vectors", "home", "bge-m3", 2048),
    )
    store.keep(
        [Entry(b"%d" % at, kind, tenant, model, b"x" * size) for at, (kind, tenant, model, size) in enumerate(kept)]
    )
    store.close()


def _audit(paths: StatePaths) -> None:
    clock = ManualClock(wall_s=NOW_S - 86400)
    trail = open_trail(paths, "poweredge", 1e9, clock)
    for number in range(3):
        personal = Personal("address:10.0.0.7", (("address", "10.0.0.7"),)) if number == 1 else None
        trail.tell(AuditEvent("head.start", "done", POTLUCK, f"[ok]{number}", personal=personal))
        clock.advance(3600)
    trail.close()
