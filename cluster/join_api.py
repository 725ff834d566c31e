"""The join listener's app, /join/v1: the only thing of the head that a stranger on the network can speak to.

The server is authenticated before a stranger sends anything; what a stranger sends is small, short-lived and refused
unless it proves a token. Members come with their certificate.
"""

import asyncio
from typing import Protocol, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from uvicorn.config import Config
from uvicorn.server import ServerState

from cluster.audit_writer import AuditUnavailableError
from cluster.join_desk import JoinDesk, JoinRefusedError
from cluster.join_records import Member
from nodes.deny_list import DenyList
from nodes.join_wire import (
    PREFIX,
    HelloBody,
    JoinBody,
    Nonce,
    Offers,
    OffersBody,
    Refusal,
    RefusalBody,
    RenewBody,
    ReportBody,
    Reported,
)
from nodes.peer import Peer
from nodes.tls_server import PeerProtocol

BODY_LIMIT_BYTES = 16 * 1024
STRANGER_S = 10.0

Body = TypeVar("Body")


class Opinion(Protocol):
    """What the head thinks of a member."""

    def __call__(self, member: Member) -> Reported: ...


class JoinProtocol(PeerProtocol):
    """A stranger's connection lasts a few seconds, whatever happens on it."""

    def __init__(self, config: Config, server_state: ServerState, deny_list: DenyList) -> None:
        super().__init__(config, server_state, deny_list)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if self.peer is None:
            self._deadline = self.loop.call_later(STRANGER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)


class Offering(Protocol):
    """What others can give to a member."""

    def __call__(self, member: Member, asked: OffersBody) -> Offers: ...


def join_app(desk: JoinDesk, ca_pem: str, opinion: Opinion, offering: Offering) -> FastAPI:
    app = FastAPI(title="potluck join", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get(f"{PREFIX}/ca")
    async def ca() -> Response:
        """Public: the joiner compares it with the fingerprint in its token before it sends anything."""
        return Response(ca_pem, media_type="application/x-pem-file")

    @app.post(f"{PREFIX}/hello")
    async def hello(request: Request) -> Response:
        return _json(Nonce(desk.hello((await _body(request, HelloBody)).token_id)))

    @app.post(f"{PREFIX}/join")
    async def join(request: Request) -> Response:
        return _json(desk.join(await _body(request, JoinBody), _host(request)))

    _add_members(app, desk, opinion, offering)

    @app.exception_handler(JoinRefusedError)
    async def refused(_: Request, error: JoinRefusedError) -> Response:
        return _json(RefusalBody(Refusal(error.code, str(error))), error.status)

    @app.exception_handler(AuditUnavailableError)
    async def no_record(_: Request, error: AuditUnavailableError) -> Response:
        return _json(RefusalBody(Refusal("audit_unavailable", str(error))), 503)

    return app


def _add_members(app: FastAPI, desk: JoinDesk, opinion: Opinion, offering: Offering) -> None:
    @app.post(f"{PREFIX}/renew")
    async def renew(request: Request) -> Response:
        return _json(desk.renew(_peer(request), (await _body(request, RenewBody)).request_pem))

    @app.post(f"{PREFIX}/report")
    async def report(request: Request) -> Response:
        body = await _body(request, ReportBody)
        return _json(opinion(desk.report(_peer(request), body, _host(request))))

    @app.post(f"{PREFIX}/offers")
    async def offers(request: Request) -> Response:
        member = desk.check_member(_peer(request))
        return _json(offering(member, await _body(request, OffersBody)))


def _peer(request: Request) -> Peer:
    peer = request.state.peer
    if not isinstance(peer, Peer):
        raise JoinRefusedError("not_a_member", "this is for members, and no certificate of this cluster was shown")
    return peer


def _host(request: Request) -> str:
    return request.client.host if request.client is not None else ""


async def _body(request: Request, kind: type[Body]) -> Body:
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > BODY_LIMIT_BYTES:
            raise JoinRefusedError("bad_request", f"a body of more than {BODY_LIMIT_BYTES} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise JoinRefusedError("bad_request", str(error)) from error


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
