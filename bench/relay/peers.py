"""The proxies that are compared, each with the settings its own project would choose for speed."""

import getpass
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.relay import programs
from bench.relay.gateway_state import NODE, write_gateway_state
from bench.relay.machine import free_port, pinned
from bench.relay.targets import Launch
from bench.relay.two_hops import make_identities
from cluster.snapshot import NodeAddress

DIRECT, NGINX, RUST, GATEWAY, TWO_HOPS = "direct", "nginx", "vllm-router", "gateway", "gateway+node"
ALL_TARGETS = (DIRECT, NGINX, RUST, GATEWAY, TWO_HOPS)

# Error log only and unbounded keep-alive: what is measured is passing bytes on, not logging or reconnecting.
NGINX_CONFIGURATION = """
daemon off;
user {user};
worker_processes 1;
pid {scratch}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {scratch}/nginx-body;
  proxy_temp_path {scratch}/nginx-proxy;
  fastcgi_temp_path {scratch}/nginx-fastcgi;
  uwsgi_temp_path {scratch}/nginx-uwsgi;
  scgi_temp_path {scratch}/nginx-scgi;
  keepalive_requests 100000000;
  upstream engines {{
    least_conn;
    {servers}
    keepalive 256;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://engines;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@contextmanager
def mock_engines(program: Path, core: int | None) -> Iterator[tuple[int, ...]]:
    """The ports of the mock engine. It ends when its standard input closes, which it also does if the bench dies."""
    process = subprocess.Popen(pinned((str(program),), core), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            yield msgspec.json.decode(process.stdout.readline(), type=dict[str, tuple[int, ...]])["ports"]
        finally:
            process.stdin.close()
            process.wait()


def launch_of(name: str, engine_ports: Sequence[int], scratch: Path, cache: Path) -> Launch:
    if name == DIRECT:
        return Launch(DIRECT, engine_ports[0], command=None)
    port = free_port()
    if name == NGINX:
        return Launch(NGINX, port, _nginx(port, engine_ports, scratch, cache))
    if name == RUST:
        return Launch(RUST, port, _vllm_router(port, engine_ports, cache))
    if name == TWO_HOPS:
        return _two_hops(port, engine_ports, scratch)
    state = write_gateway_state(scratch / "state", engine_ports)
    potluck = Path(sys.executable).with_name("potluck")
    command = (str(potluck), "gateway", "--state-dir", str(state.paths.root), "--port", str(port))
    return Launch(GATEWAY, port, command, ready_path="/readyz", bearer_file=state.key_file)


def _two_hops(port: int, engine_ports: Sequence[int], scratch: Path) -> Launch:
    """On one core like every target, although it is two machines at work: its rates are no promise, its CPU is."""
    node = NodeAddress("127.0.0.1", free_port())
    state = write_gateway_state(scratch / "two-hops", engine_ports, node)
    make_identities(state.paths, NODE)
    place = ("--state-dir", str(state.paths.root), "--port", str(port), "--node-port", str(node.port))
    command = (sys.executable, "-m", "bench.relay.two_hops", *place)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return Launch(TWO_HOPS, port, command, "/readyz", bearer_file=state.key_file, environment=environment)


def _nginx(port: int, engine_ports: Sequence[int], scratch: Path, cache: Path) -> tuple[str, ...]:
    configuration = scratch / "nginx.conf"
    servers = " ".join(f"server 127.0.0.1:{engine_port};" for engine_port in engine_ports)
    user = getpass.getuser()
    configuration.write_text(NGINX_CONFIGURATION.format(user=user, scratch=scratch, servers=servers, port=port))
    return (str(programs.nginx(cache)), "-e", "stderr", "-p", str(scratch), "-c", str(configuration))


def _vllm_router(port: int, engine_ports: Sequence[int], cache: Path) -> tuple[str, ...]:
    """With power of two: its default, the prefix-aware policy, asks every worker first and costs it half its rate."""
    return (
        str(programs.vllm_router(cache)),
        *("--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port())),
        *("--policy", "power_of_two", "--log-level", "error"),
        *("--worker-urls", *(f"http://127.0.0.1:{engine_port}" for engine_port in engine_ports)),
    )
