"""How to reach an engine: its connection pool, its secret, the bytes of a request to it, and the lines that name it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from inventory.secret_files import read_secret
from nodes.relay.contract import Address, Limits
from nodes.relay.pool import EndpointPool
from nodes.relay.pools import Pools
from nodes.snapshot import EngineId
from router.decision import Candidate
from router.request import EngineApi, Prompt
from router.settings import GatewaySettings

NODE_IDLE_S = 60.0  # below the 75 s after which a node drops an idle connection

PATHS: dict[EngineApi, str] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "rerank": "/v1/rerank",
}


class Upstream:
    """One generation of one engine. Its secret is read when the first request needs it."""

    __slots__ = ("_candidate", "_heads", "generation", "header_lines", "pool")

    def __init__(self, candidate: Candidate, pool: EndpointPool) -> None:
        self._candidate = candidate
        self._heads: dict[str, bytes] = {}  # by path
        self.generation = candidate.generation
        self.pool = pool
        self.header_lines = _header_lines(candidate)

    def request(self, api: EngineApi, request_id: str, body: bytes, trace: bytes = b"") -> bytes:
        """`trace` is a line of its head. Raises OSError or ExposedSecretError where the engine's secret cannot be
        read."""
        return self.request_to(PATHS[api], request_id, body, trace)

    def request_to(self, path: str, request_id: str, body: bytes, trace: bytes = b"") -> bytes:
        """Raises as `request` does."""
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = _build_head(self._candidate, path)
        named = request_id.encode()
        return b"%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (head, trace, named, len(body), body)

    def forget_secret(self) -> None:
        """The engine refused it: read the file again next time."""
        self._heads.clear()


class Upstreams:
    """Every engine of the last snapshot."""

    def __init__(self, pools: Pools, settings: GatewaySettings) -> None:
        self._pools, self._settings = pools, settings
        self._known: dict[EngineId, Upstream] = {}

    def of(self, candidate: Candidate) -> Upstream:
        upstream = self._known.get(candidate.engine_id)
        if upstream is None or upstream.generation != candidate.generation:
            upstream = self._known[candidate.engine_id] = Upstream(candidate, self._pool(candidate))
        return upstream

    def follow(self, candidates: tuple[Candidate, ...]) -> None:
        """Retire connections to engines that are gone, and forget their secrets."""
        self._pools.keep_only(frozenset(_address(candidate) for candidate in candidates))
        self._known.clear()

    def _pool(self, candidate: Candidate) -> EndpointPool:
        settings = self._settings
        limits = Limits(
            connect_s=settings.connect_s,
            first_byte_s=settings.first_byte_s,
            # An engine may answer with a head at once and be silent for as long as it reads a prompt: how long is too
            # long in mid-answer, the call decides, which knows a token from a head (router.pulse).
            stall_s=settings.first_byte_s,
            # llama.cpp's server holds a thread for each open connection, idle ones too, and has slots + 2 of them.
            keep_connections=max(candidate.slots, 2),
        )
        if candidate.node_address is not None:  # a node holds connections as long as it is asked to
            limits = replace(limits, idle_s=NODE_IDLE_S)
        return self._pools.at(_address(candidate), limits)


def body_for(candidate: Candidate, prompt: Prompt, stream: bool, tenant: str, salt_of: Callable[[str], bytes]) -> bytes:
    """A prompt as this engine wants it written. We wrote the body: its last byte closes the object."""
    body = prompt.encode(candidate.served_name, stream)
    if candidate.stream_extra and stream:
        body = body[:-1] + candidate.stream_extra
    if candidate.salted:
        body = b'%b,"cache_salt":"%b"}' % (body[:-1], salt_of(tenant))
    return body


def proof_body(candidate: Candidate) -> bytes:
    """The smallest request that proves an engine: one token, streamed, so that it is cancelled when nobody waits. Of
    one that does not write, the vector or the score of a word."""
    asked: dict[EngineApi, dict[str, object]] = {
        "embeddings": {"input": "1"},
        "rerank": {"query": "1", "documents": ["1"]},
    }
    smallest = asked.get(candidate.proof, {"prompt": "1", "max_tokens": 1, "stream": True})
    return msgspec.json.encode({"model": candidate.served_name, **smallest})


def _build_head(candidate: Candidate, path: str) -> bytes:
    address, secret_file = _address(candidate), candidate.endpoint.secret_file
    lines = [
        f"POST {address.prefix}{path} HTTP/1.1",
        f"host: {address.host}:{address.port}",
        "content-type: application/json",
    ]
    if secret_file is not None and candidate.node_address is None:  # a node adds the secrets of its own engines
        lines.append(f"authorization: Bearer {read_secret(Path(secret_file))}")
    return ("\r\n".join(lines) + "\r\n").encode()


def _header_lines(candidate: Candidate) -> bytes:
    """Lines that make an answer traceable. Ids from snapshots cannot break out of a header."""
    facts = (("node", candidate.node_id), ("engine", candidate.engine_id), ("model-revision", candidate.revision))
    return b"".join(f"x-potluck-{name}: {_header_value(value)}\r\n".encode() for name, value in facts)


def _header_value(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _address(candidate: Candidate) -> Address:
    node = candidate.node_address
    if node is None:
        return Address(candidate.endpoint.host, candidate.endpoint.port)
    return Address(node.host, node.port, candidate.node_id, f"/engines/{candidate.engine_id}")
