"""`python -m bench.relay.two_hops`: a gateway, and the TLS port of a node that it reaches its engines through.

This process is the node; the gateway is its child, so that both are charged to one target.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import uvloop
from fastapi import FastAPI

from cluster.authority import CertificateAuthority, Subject
from cluster.snapshot import ClusterSnapshot
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.deny_list import DenyList
from nodes.identity import IdentityFiles, install, new_key
from nodes.peer import PeerRole
from nodes.relay.sockets import listen_tcp
from nodes.tls_contexts import server_context
from nodes.tls_port import serve_node
from nodes.tls_server import Door


def make_identities(paths: StatePaths, node: str) -> None:
    """For the gateway of this state directory, and for a node of this name."""
    authority = CertificateAuthority.ensure(paths.ca, "bench", SystemClock())
    identities: tuple[tuple[PeerRole, str], ...] = (("gateway", "gateway"), ("node", node))
    for role, name in identities:
        key = new_key(name)
        signed = authority.sign(key.request_pem, Subject(role, name))
        install(IdentityFiles.at(paths.identity, role), key.key_pem, signed.pem, authority.certificate_pem)


async def serve(paths: StatePaths, node_port: int) -> None:
    snapshot = msgspec.json.decode((paths.gateway / "cluster.json").read_bytes(), type=ClusterSnapshot)
    engines = snapshot.nodes[0].snapshot.engines if snapshot.nodes[0].snapshot is not None else ()
    context = server_context(IdentityFiles.at(paths.identity, "node"), "must_prove")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    door = Door(listen_tcp("127.0.0.1", node_port), context)
    await serve_node(FastAPI(), lambda: engines, door, DenyList(paths.identity), stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", required=True, help="of the gateway")
    parser.add_argument("--node-port", type=int, required=True)
    options = parser.parse_args()
    paths = StatePaths.at(options.state_dir)
    potluck = Path(sys.executable).with_name("potluck")
    command = (str(potluck), "gateway", "--state-dir", str(paths.root), "--port", options.port)
    with subprocess.Popen(command) as gateway:
        try:
            uvloop.run(serve(paths, options.node_port))
        finally:
            gateway.terminate()


if __name__ == "__main__":
    main()
