"""What Ray is told: the command lines and the environment of its head, of a raylet, and of a driver.

Ray listens on every address whatever it is told, so each connection needs the token, and gRPC the cluster's
certificates on top; its one server that speaks plain HTTP hears its own machine only. It runs without dashboard,
client server and log monitor, and reports to nobody.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from inventory.offline import SILENT
from nodes.engines.base import Command
from nodes.snapshot import EngineKind, NodeId

WORKER_PORTS = 40
LAST_BASE_PORT = 65535 - 10 - WORKER_PORTS
OBJECT_STORE_BYTES = 128 * 1024 * 1024  # checksums and small answers; model bytes never pass through Ray
# A Unix socket's name holds 103 bytes on macOS; below its temporary directory Ray takes this much for itself:
# "/session_2026-11-21_15-58-44_471668_4194304/sockets/plasma_store".
SOCKET_NAME_LIMIT, RAY_SOCKET_TAIL = 103, 64

# How long the head may be away: a raylet waits until somebody has repaired it, a driver is our fuse and burns at once.
RAYLET_WAITS_S, DRIVER_WAITS_S = 600, 10


@dataclass(frozen=True, slots=True)
class RayPorts:
    """Every port of Ray, counted from one base, the same on all machines, so that a firewall can name them."""

    base: int = 8410

    @property
    def gcs(self) -> int:
        return self.base

    @property
    def node_manager(self) -> int:
        return self.base + 1

    @property
    def object_manager(self) -> int:
        return self.base + 2

    @property
    def runtime_env_agent(self) -> int:
        return self.base + 3

    @property
    def metrics_agent(self) -> int:
        return self.base + 4

    @property
    def metrics_export(self) -> int:
        return self.base + 5

    @property
    def job_agent(self) -> int:
        """Nothing listens here without `ray[default]`; named all the same, so that it can never be Ray's 52365."""
        return self.base + 6

    @property
    def first_worker(self) -> int:
        return self.base + 10

    @property
    def last_worker(self) -> int:
        return self.first_worker + WORKER_PORTS - 1

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """First and last port of each range that members must reach."""
        return ((self.gcs, self.job_agent), (self.first_worker, self.last_worker))


@dataclass(frozen=True, slots=True)
class RayTls:
    """PEM files. Ray reads them when it starts: a renewed certificate needs a restart."""

    authority: str
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class RayPlace:
    """One machine's Ray: where it keeps its files, and what it proves itself with. Paths are absolute."""

    program: str  # the `ray` command of this installation
    home: str  # holds the stub that keeps Ray from asking a cloud who it is
    temp_dir: str
    store: str  # what GCS remembers, so that a head that was restarted finds its raylets and they find it
    token_file: str
    tls: RayTls | None
    ports: RayPorts = RayPorts()


@dataclass(frozen=True, slots=True)
class RayNode:
    """A machine as Ray sees it."""

    node_id: NodeId
    address: str
    kinds: tuple[EngineKind, ...]  # engines it can run
    state_dir: str  # of its daemon, for the agent and the jobs that run inside the raylet


def node_resource(node_id: str) -> str:
    """The resource that only this node has: what is pinned to the node asks for a little of it."""
    return f"node:{node_id}"


def fits(temp_dir: str) -> bool:
    """Can Ray's sockets lie below this directory?"""
    return len(temp_dir.encode()) + RAY_SOCKET_TAIL <= SOCKET_NAME_LIMIT


def resources(node: RayNode) -> dict[str, int]:
    return {node_resource(node.node_id): 1, **{f"engine:{kind}": 1 for kind in node.kinds}}


def bootstrap_stub() -> str:
    """~/ray_bootstrap_config.yaml. Where Ray finds none, it asks three clouds' metadata services where it runs."""
    return "cluster_name: potluck\nprovider: {type: local}\n"


def driver_environment(place: RayPlace) -> tuple[tuple[str, str], ...]:
    """What every process that speaks to Ray needs, drivers and `ray status` included."""
    tls = place.tls
    return (
        ("HOME", place.home),
        ("RAY_AUTH_MODE", "token"),
        ("RAY_AUTH_TOKEN_PATH", place.token_file),
        *(
            (
                ("RAY_USE_TLS", "1"),
                ("RAY_TLS_CA_CERT", tls.authority),
                ("RAY_TLS_SERVER_CERT", tls.certificate),
                ("RAY_TLS_SERVER_KEY", tls.key),
            )
            if tls is not None
            else ()
        ),
        ("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor"),  # the default refuses 3.11.2 beside 3.11.9
        ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1"),  # without it a Mac listens on localhost and objects hang
        *SILENT,
        ("RAY_gcs_rpc_server_reconnect_timeout_s", str(DRIVER_WAITS_S)),
        ("RAY_enable_autoscaler_v2", "1"),  # `ray status` then asks the head itself, no monitor need run
    )


def head_command(place: RayPlace, node: RayNode) -> Command:
    """Ray's head: GCS, and the raylet of the machine that it runs on."""
    return Command(
        argv=(
            *_start(place, node),
            "--head",
            f"--port={place.ports.gcs}",
            "--include-dashboard=false",
            "--disable-usage-stats",
            "--no-monitor",  # it scales clouds, and serves metrics to every address
        ),
        environment=(
            *_daemon_environment(place, node),
            *_health_checks(),
            ("RAY_gcs_storage", "rocksdb"),
            ("RAY_gcs_storage_path", place.store),
        ),
        working_dir=place.home,
    )


def raylet_command(place: RayPlace, node: RayNode, head_address: str) -> Command:
    """A raylet that joins the head at `head_address`, a host name or IP address."""
    return Command(
        argv=(*_start(place, node), f"--address={head_address}:{place.ports.gcs}"),
        environment=_daemon_environment(place, node),
        working_dir=place.home,
    )


def _start(place: RayPlace, node: RayNode) -> Sequence[str]:
    ports = place.ports
    return (
        place.program,
        "start",
        "--block",
        f"--node-ip-address={node.address}",
        f"--node-manager-port={ports.node_manager}",
        f"--object-manager-port={ports.object_manager}",
        f"--runtime-env-agent-port={ports.runtime_env_agent}",
        f"--dashboard-agent-grpc-port={ports.metrics_agent}",
        f"--dashboard-agent-listen-port={ports.job_agent}",
        f"--metrics-export-port={ports.metrics_export}",
        f"--min-worker-port={ports.first_worker}",
        f"--max-worker-port={ports.last_worker}",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--resources={json.dumps(resources(node))}",
        "--num-gpus=0",  # engines take GPUs, and engines are not Ray's
        "--include-log-monitor=false",
        f"--temp-dir={place.temp_dir}",
    )


def _daemon_environment(place: RayPlace, node: RayNode) -> tuple[tuple[str, str], ...]:
    changed = {
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(RAYLET_WAITS_S),
        "POTLUCK_STATE_DIR": node.state_dir,
        "PYTHONPATH": place.home,  # where `sitecustomize.py` lies: see nodes.ray_own_machine
    }
    return tuple({**dict(driver_environment(place)), **changed}.items())


def _health_checks() -> tuple[tuple[str, str], ...]:
    return (
        ("RAY_health_check_initial_delay_ms", "5000"),
        ("RAY_health_check_period_ms", "1000"),
        ("RAY_health_check_timeout_ms", "1000"),
        ("RAY_health_check_failure_threshold", "3"),
    )
