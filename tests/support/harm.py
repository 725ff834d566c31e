"""Harm done to a state directory, for real: each is a generator that does it, yields, and takes back what is not the
directory's own. `tests/cli/test_doctor_faults.py` says what the doctor must make of them."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

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
from support.doctor_state import DoctorState, install_engine, listening
from support.leases import lease_of, sleeper
from support.manual_clock import ManualClock
from support.tls import TestAuthority

DAY_S = 86400.0


def open_to_others(state: DoctorState) -> Iterator[None]:
    state.paths.root.chmod(0o755)
    yield


def anothers(state: DoctorState) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root gives a directory away")
    os.chown(state.paths.root, 65534, 65534)
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
