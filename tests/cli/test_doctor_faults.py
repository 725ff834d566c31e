"""Each fault of a state directory, made for real: the doctor names it and what mends it, and raises no other alarm."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from cli.checks.finding import Verdict
from inventory.clock import SystemClock
from inventory.secret_files import write_secret
from nodes.api_wire import RayOrder
from nodes.engine_builds import build_named
from nodes.engine_envs import MARKER, lock_sha256
from nodes.identity import IdentityFiles, key_text, new_key
from nodes.leases import write_lease
from nodes.process_identity import identify
from nodes.ray_process import RayLease, lease_file
from nodes.ray_versions import versions_here
from support.doctor_state import DoctorState, healthy_state, in_the_table, install_engine, listening, verdicts
from support.leases import lease_of, sleeper
from support.manual_clock import ManualClock
from support.tls import TestAuthority

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


def open_to_others(state: DoctorState) -> Iterator[None]:
    state.paths.root.chmod(0o755)
    yield


def exposed_secret(state: DoctorState) -> Iterator[None]:
    state.paths.pepper.chmod(0o640)
    yield
    state.paths.pepper.chmod(0o600)


def invalid_config(state: DoctorState) -> Iterator[None]:
    text = state.paths.config_file.read_text()
    state.paths.config_file.write_text(text.replace("gateway:", "gatewy:"))
    yield


def nameless(state: DoctorState) -> Iterator[None]:
    text = state.paths.config_file.read_text()
    state.paths.config_file.write_text(text.replace("box: {}", "mac: {}\n  rtx: {}"))
    yield


def damaged_registry(state: DoctorState) -> Iterator[None]:
    with state.paths.registry_db.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    yield


def later_registry(state: DoctorState) -> Iterator[None]:
    with closing(sqlite3.connect(state.paths.registry_db)) as connection:
        connection.execute("PRAGMA user_version = 99")
    yield


def no_database(state: DoctorState) -> Iterator[None]:
    write_secret(state.paths.telemetry_db, "this is no database at all, and never was one" * 100)
    yield


def killed_head(state: DoctorState) -> Iterator[None]:
    with holding_role(state, "head") as process:
        process.kill()
        process.wait()
        yield


def stopped_node(state: DoctorState) -> Iterator[None]:
    with holding_role(state, "node") as process:
        process.send_signal(signal.SIGSTOP)
        state.ahead(60)  # a process that has just begun is given time
        yield


def orphan(state: DoctorState) -> Iterator[None]:
    with sleeper() as process:
        write_lease(state.paths.leases, lease_of(process.pid, "smol.box.1"))
        yield
        process.kill()


def dead_lease(state: DoctorState) -> Iterator[None]:
    with sleeper() as process:
        write_lease(state.paths.leases, lease_of(process.pid, "smol.box.1"))
        process.kill()
    yield


def unreadable_lease(state: DoctorState) -> Iterator[None]:
    (state.paths.leases / "smol.box.1.json").write_text("{")
    yield


def orphaned_ray(state: DoctorState) -> Iterator[None]:
    with sleeper() as process:
        identity = identify(process.pid)
        assert identity is not None
        lease = RayLease(process.pid, identity.start_mark, identity.boot_id, "mark")
        write_secret(lease_file(state.paths, "ray-head"), msgspec.json.encode(lease).decode())
        yield
        process.kill()


def truncated_model(state: DoctorState) -> Iterator[None]:
    (blob,) = (state.paths.models / "blobs").iterdir()
    blob.chmod(0o600)
    os.truncate(blob, blob.stat().st_size // 2)
    yield


def overwritten_header(state: DoctorState) -> Iterator[None]:
    (blob,) = (state.paths.models / "blobs").iterdir()
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.write(bytes(64))
    yield


def audit_that_is_none(state: DoctorState) -> Iterator[None]:
    state.paths.audit_db.mkdir(mode=0o700)
    yield


def missing_blob(state: DoctorState) -> Iterator[None]:
    (blob,) = (state.paths.models / "blobs").iterdir()
    blob.unlink()
    yield


def damaged_record(state: DoctorState) -> Iterator[None]:
    (record,) = (state.paths.models / "names").iterdir()
    record.write_text(record.read_text()[:20])
    yield


def half_copy(state: DoctorState) -> Iterator[None]:
    place = state.paths.models / "downloads" / f"copy-{'ab' * 32}"
    place.mkdir(parents=True)
    (place / "00000").write_bytes(bytes(5000))
    state.ahead(DAY_S / 24)
    yield


def engine_without_python(state: DoctorState) -> Iterator[None]:
    python = state.paths.engines / "llamacpp" / "bin" / "python"
    python.unlink()
    python.symlink_to("/usr/lib/a-python-that-was-uninstalled")
    yield


def unfinished_engine(state: DoctorState) -> Iterator[None]:
    (state.paths.engines / "llamacpp" / MARKER).unlink()
    yield


def outdated_engine(state: DoctorState) -> Iterator[None]:
    marker, build = state.paths.engines / "llamacpp" / MARKER, build_named("llamacpp", "any")
    assert build is not None
    marker.write_text(marker.read_text().replace(lock_sha256(build), "00" * 32))
    yield


def broken_engine(state: DoctorState) -> Iterator[None]:
    (module,) = (state.paths.engines / "llamacpp").glob("lib/*/site-packages/xllamacpp.py")
    module.write_text("import a_library_that_is_not_here\n")
    yield


def no_engine(state: DoctorState) -> Iterator[None]:
    shutil.rmtree(state.paths.engines)
    yield


def mlx_without_compiler(state: DoctorState) -> Iterator[None]:
    install_engine(state.paths.engines, "mlx", "cpu")
    path, os.environ["PATH"] = os.environ["PATH"], "/nowhere"
    yield
    os.environ["PATH"] = path


def taken_endpoint(state: DoctorState) -> Iterator[None]:
    with listening(state.gateway_port):
        yield


def taken_join_port(state: DoctorState) -> Iterator[None]:
    with listening(state.join_port):
        yield


def moved_machine(state: DoctorState) -> Iterator[None]:
    text = state.paths.config_file.read_text()
    state.paths.config_file.write_text(text.replace("listen: 127.0.0.1", "listen: 192.0.2.17"))
    yield


def few_files(state: DoctorState) -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def certificate_of(age_days: float) -> Callable[[DoctorState], Iterator[None]]:
    def inject(state: DoctorState) -> Iterator[None]:
        clock = ManualClock(SystemClock().wall_s() - age_days * DAY_S)
        TestAuthority(state.paths.root, clock).identity("controller", "head", state.paths.identity)
        yield

    return inject


def foreign_certificate(state: DoctorState) -> Iterator[None]:
    elsewhere = TestAuthority(state.paths.root.with_name("elsewhere"))
    files = elsewhere.identity("controller", "head")
    for name in ("controller.key", "controller.crt"):
        write_secret(state.paths.identity / name, (files.key.parent / name).read_text())
    yield


def strange_key(state: DoctorState) -> Iterator[None]:
    write_secret(IdentityFiles.at(state.paths.identity, "controller").key, new_key("head").key_pem)
    yield


def unreadable_certificate(state: DoctorState) -> Iterator[None]:
    write_secret(IdentityFiles.at(state.paths.identity, "controller").certificate, "-----BEGIN CERTIFICATE-----\n")
    yield


def authority_without_key(state: DoctorState) -> Iterator[None]:
    (state.paths.ca / "ca.key").unlink()
    yield


def authority_with_another_key(state: DoctorState) -> Iterator[None]:
    from cryptography.hazmat.primitives.asymmetric import ec

    write_secret(state.paths.ca / "ca.key", key_text(ec.generate_private_key(ec.SECP256R1())))
    yield


def old_https_certificate(state: DoctorState) -> Iterator[None]:
    clock = ManualClock(SystemClock().wall_s() - 40 * DAY_S)
    files = TestAuthority(state.paths.root.with_name("issuer"), clock).identity("gateway", "gateway")
    lan = f"lan: {{listen: 127.0.0.1, port: 0, certificate: {files.certificate}, key: {files.key}}}"
    text = state.paths.config_file.read_text()
    state.paths.config_file.write_text(text.replace("gateway: {", f"gateway: {{{lan}, "))
    yield


def another_ray(state: DoctorState) -> Iterator[None]:
    order = RayOrder("127.0.0.1", "127.0.0.1", 1024, "t" * 64, versions_here().python, "1.0.0")
    write_secret(state.paths.secrets / "ray-order.json", msgspec.json.encode(order).decode())
    yield


@contextmanager
def holding_role(state: DoctorState, role: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the lock of a role and listens on its socket, as its service does."""
    socket = state.paths.head_socket if role == "head" else state.paths.node_socket
    code = (
        "import sys, time; from pathlib import Path\n"
        "from nodes.role_lock import RoleLock; from nodes.unix_server import bind_private_socket\n"
        "lock = RoleLock(Path(sys.argv[1]), sys.argv[2]); lock.acquire()\n"
        "listener = bind_private_socket(Path(sys.argv[3])); print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(state.paths.run), role, str(socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


UP = "potluck up"
FAULTS = (
    Fault("state open to others", open_to_others, "state", "fail", "mode 0755", "chmod 700"),
    Fault("secret readable by others", exposed_secret, "secrets", "fail", "secrets/pepper", "chmod 600"),
    Fault("cluster.yaml invalid", invalid_config, "config", "fail", "gatewy", "potluck config validate"),
    Fault("machine not in cluster.yaml", nameless, "config", "fail", "nodes mac, rtx", "potluck up --node NAME"),
    Fault("registry damaged", damaged_registry, "records", "fail", "registry.db cannot be used", "backup"),
    Fault("registry of a later version", later_registry, "records", "fail", "schema 99", "or a later one"),
    Fault("no database", no_database, "records", "warn", "telemetry.db cannot be used", "move it away"),
    Fault("head killed", killed_head, "leftovers", "warn", "the head (process", UP),
    Fault("node hangs", stopped_node, "answers", "fail", "the node is there (process", "potluck down; potluck up"),
    Fault("engine without daemon", orphan, "leftovers", "warn", "smol.box.1 (process", "potluck up takes it over"),
    Fault("lease of a dead process", dead_lease, "leftovers", "warn", "which is gone", "potluck down"),
    Fault("lease unreadable", unreadable_lease, "leftovers", "warn", "cannot be read", "rm /"),
    Fault("Ray without head", orphaned_ray, "leftovers", "warn", "Ray's ray-head (process", "potluck down ends it"),
    Fault("model truncated", truncated_model, "models", "fail", "bytes, where it had", "potluck models rm smol"),
    Fault("model's header overwritten", overwritten_header, "models", "fail", "is damaged", "potluck models rm smol"),
    Fault("audit that cannot be written", audit_that_is_none, "records", "fail", "audit.db cannot be used", "evidence"),
    Fault("model file missing", missing_blob, "models", "fail", "No such file", "potluck models rm smol"),
    Fault("model record damaged", damaged_record, "models", "fail", "smol.json", "import it again"),
    Fault("copy cut off", half_copy, "unfinished", "warn", "4.9 KiB", "rm -r"),
    Fault(
        "python of an engine gone", engine_without_python, "engines", "fail", "Python that it was built on is gone",
        "potluck engines install llamacpp",
    ),
    Fault(
        "engine not installed to its end", unfinished_engine, "engines", "fail", "was not installed to its end",
        "potluck engines install llamacpp",
    ),
    Fault(
        "engine of another version", outdated_engine, "engines", "warn", "not the version that goes with",
        "potluck engines install llamacpp",
    ),
    Fault(
        "engine does not start", broken_engine, "loading", "fail", "No module named 'a_library_that_is_not_here'",
        "potluck engines remove llamacpp && potluck engines install llamacpp",
    ),
    Fault("no engine", no_engine, "engines", "fail", "none in ", "potluck engines install llamacpp"),
    Fault("no compiler for mlx", mlx_without_compiler, "compiler", "fail", "no g++ here", "apt-get install g++"),
    Fault("port of the endpoint taken", taken_endpoint, "ports", "fail", f"(process {os.getpid()})", "gateway.port"),
    Fault("port of joining taken", taken_join_port, "ports", "fail", f"(process {os.getpid()})", "join.port"),
    Fault("address moved", moved_machine, "addresses", "fail", "cluster.listen is 192.0.2.17", "fixed lease"),
    Fault("few open files", few_files, "open files", "warn", "limit 512", "ulimit -n"),
    Fault("certificate ended", certificate_of(9), "certificates", "fail", "ended 2 days ago", UP),
    Fault("certificate ends soon", certificate_of(6.5), "certificates", "warn", "ends in 12 hours", "logs/head.log"),
    Fault("clock behind", certificate_of(-5), "certificates", "fail", "begins only in 5 days", "timedatectl"),
    Fault("certificate of another cluster", foreign_certificate, "certificates", "fail", "did not sign it", UP),
    Fault("key of another certificate", strange_key, "certificates", "fail", "is not its key", UP),
    Fault("certificate unreadable", unreadable_certificate, "certificates", "fail", "is of no use", UP),
    Fault("authority without key", authority_without_key, "authority", "fail", "cannot be read", "from a backup"),
    Fault("authority's key replaced", authority_with_another_key, "authority", "fail", "is not the key", "backup"),
    Fault("https certificate ended", old_https_certificate, "https", "fail", "ended 33 days ago", "gateway.lan"),
    Fault(
        "another version of Ray", another_ray, "versions", "warn", "Ray wants one version", "ray==1.0.0",
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
    with holding_role(state, "node") as process:
        process.send_signal(signal.SIGSTOP)
        found = [one for one in state.findings() if one.name == "answers"]

    assert [(one.verdict, one.detail) for one in found] == [("ok", f"the node (process {process.pid}) is starting")]
