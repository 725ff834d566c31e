"""Each fault of a state directory, made for real: the doctor names it and what mends it, and raises no other alarm."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.checks.finding import Verdict
from support import harm
from support.doctor_state import DoctorState, healthy_state, in_the_table, verdicts

DAY_S = 86400.0
NOBODY: frozenset[str] = frozenset()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DoctorState:
    monkeypatch.delenv("POTLUCK_ENGINES_DIR", raising=False)
    return healthy_state(tmp_path / "state")


def test_a_healthy_machine_that_does_not_run_has_nothing_to_mend(state: DoctorState) -> None:
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in state.paths.root.rglob("*"))

    found = state.findings()

    assert verdicts(found, but=frozenset({"container", "file system"})) == {"services": "warn"}
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in state.paths.root.rglob("*")) == before


@dataclass(frozen=True)
class Fault:
    """`inject` does the harm, and yields; what follows from the same harm is in `also`."""

    name: str
    inject: Callable[[DoctorState], Iterator[None]]
    check: str
    verdict: Verdict
    told: str
    fix: str
    also: frozenset[str] = NOBODY


UP = "potluck up"
FAULTS = (
    Fault("state open to others", harm.open_to_others, "state", "fail", "mode 0755", "chmod 700"),
    Fault("state of another user", harm.anothers, "state", "warn", "belongs to user 65534", "run potluck as its owner"),
    Fault("secret readable by others", harm.exposed_secret, "secrets", "fail", "secrets/pepper", "chmod 600"),
    Fault("cluster.yaml invalid", harm.invalid_config, "config", "fail", "gatewy", "potluck config validate"),
    Fault("machine not in cluster.yaml", harm.nameless, "config", "fail", "nodes mac, rtx", "potluck up --node NAME"),
    Fault("registry damaged", harm.damaged_registry, "records", "fail", "registry.db cannot be used", "backup"),
    Fault("registry of a later version", harm.later_registry, "records", "fail", "schema 99", "or a later one"),
    Fault("no database", harm.no_database, "records", "warn", "telemetry.db cannot be used", "move it away"),
    Fault("head killed", harm.killed_head, "leftovers", "warn", "the head (process", UP),
    Fault("node hangs", harm.stopped_node, "answers", "fail", "the node is there (process", "potluck down; potluck up"),
    Fault("engine without daemon", harm.orphan, "leftovers", "warn", "smol.box.1 (process", "potluck up takes it over"),
    Fault("lease of a dead process", harm.dead_lease, "leftovers", "warn", "which is gone", "potluck down"),
    Fault("lease unreadable", harm.unreadable_lease, "leftovers", "warn", "cannot be read", "rm /"),
    Fault("Ray without head", harm.orphaned_ray, "leftovers", "warn", "ray-head (process", "potluck down ends it"),
    Fault("model truncated", harm.truncated_model, "models", "fail", "bytes, where it had", "potluck models rm smol"),
    Fault("model's header overwritten", harm.overwritten_header, "models", "fail", "is damaged", "models rm smol"),
    Fault("audit that cannot be written", harm.audit_that_is_none, "records", "fail", "audit.db cannot", "evidence"),
    Fault("model file missing", harm.missing_blob, "models", "fail", "No such file", "potluck models rm smol"),
    Fault("model record damaged", harm.damaged_record, "models", "fail", "smol.json", "import it again"),
    Fault("copy cut off", harm.half_copy, "unfinished", "warn", "4.9 KiB", "rm -r"),
    Fault(
        "python of an engine gone", harm.engine_without_python, "engines", "fail", "that it was built on is gone",
        "potluck engines install llamacpp",
    ),
    Fault(
        "engine not installed to its end", harm.unfinished_engine, "engines", "fail", "was not installed to its end",
        "potluck engines install llamacpp",
    ),
    Fault(
        "engine of another version", harm.outdated_engine, "engines", "warn", "not the version that goes with",
        "potluck engines install llamacpp",
    ),
    Fault(
        "engine does not start", harm.broken_engine, "loading", "fail", "No module named 'a_library_that_is_not_here'",
        "potluck engines remove llamacpp && potluck engines install llamacpp",
    ),
    Fault("no engine", harm.no_engine, "engines", "fail", "none in ", "potluck engines install llamacpp"),
    Fault("no compiler for mlx", harm.mlx_without_compiler, "compiler", "fail", "no g++ here", "apt-get install g++"),
    Fault("endpoint's port taken", harm.taken_endpoint, "ports", "fail", f"(process {os.getpid()})", "gateway.port"),
    Fault("port of joining taken", harm.taken_join_port, "ports", "fail", f"(process {os.getpid()})", "join.port"),
    Fault("address moved", harm.moved_machine, "addresses", "fail", "cluster.listen is 192.0.2.17", "fixed lease"),
    Fault("few open files", harm.few_files, "open files", "warn", "limit 512", "ulimit -n"),
    Fault("certificate ended", harm.certificate_of(9), "certificates", "fail", "ended 2 days ago", UP),
    Fault("certificate ends soon", harm.certificate_of(6.5), "certificates", "warn", "in 12 hours", "logs/head.log"),
    Fault("clock behind", harm.certificate_of(-5), "certificates", "fail", "begins only in 5 days", "timedatectl"),
    Fault("certificate of another cluster", harm.foreign_certificate, "certificates", "fail", "did not sign it", UP),
    Fault("key of another certificate", harm.strange_key, "certificates", "fail", "is not its key", UP),
    Fault("certificate unreadable", harm.unreadable_certificate, "certificates", "fail", "is of no use", UP),
    Fault("authority without key", harm.authority_without_key, "authority", "fail", "cannot be read", "from a backup"),
    Fault("authority's key replaced", harm.authority_with_another_key, "authority", "fail", "is not the key", "backup"),
    Fault("https certificate ended", harm.old_https_certificate, "https", "fail", "ended 33 days ago", "gateway.lan"),
    Fault(
        "another version of Ray", harm.another_ray, "versions", "warn", "Ray wants one version", "ray==1.0.0",
        frozenset({"ray"}),  # nor does anybody listen where that order says
    ),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_named_with_its_fix_and_no_other_check_raises_an_alarm(state: DoctorState, fault: Fault) -> None:
    before = verdicts(state.findings())
    assert fault.check not in before

    with contextmanager(fault.inject)(state):
        found = state.findings()

    named = [one for one in found if one.name == fault.check and one.verdict == fault.verdict]
    assert len(named) == 1, found
    assert fault.told in named[0].detail
    assert fault.fix in named[0].fix
    assert verdicts(found, but=fault.also | {fault.check}) == before
    in_the_table(fault.name, named[0])


def test_a_copy_that_is_under_way_is_left_alone(state: DoctorState) -> None:
    import fcntl

    place = state.paths.models / "downloads" / "copy-1"
    place.mkdir(parents=True)
    (place / "00000").write_bytes(bytes(5000))
    begun = [one.verdict for one in state.findings() if one.name == "unfinished"]
    with place.with_name(".copy-1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state.ahead(DAY_S)
        held = [one.verdict for one in state.findings() if one.name == "unfinished"]
    left = [one.verdict for one in state.findings() if one.name == "unfinished"]

    assert (begun, held, left) == (["ok"], ["ok"], ["warn"])


def test_a_process_that_has_just_begun_may_be_silent(state: DoctorState) -> None:
    with harm.holding_role(state, "node") as process:
        process.send_signal(signal.SIGSTOP)
        found = [one for one in state.findings() if one.name == "answers"]

    assert [(one.verdict, one.detail) for one in found] == [("ok", f"the node (process {process.pid}) is starting")]
