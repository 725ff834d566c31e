"""The part of /api/v1 that is about membership: make a join token, remove a member."""

import re

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from cluster.admin_wire import AdminFault, FaultBody, MemberRemoved, TokenMade
from cluster.config_values import NODE_NAME_PATTERN
from cluster.join_desk import JoinRefusedError
from cluster.lan import LanHead
from nodes.head_client import HeadPlace
from nodes.snapshot import NodeId

LONGEST_TTL_S = 24 * 3600
EVERY_ADDRESS = ("0.0.0.0", "::")

LAN_OFF = (
    "this head listens on no network, so no machine can join; "
    "set cluster.listen to its address in cluster.yaml and start it again"
)
LOOPBACK_ONLY = (
    "this head was made for loopback only, as a demo's is: no machine can join it, whatever cluster.yaml says; "
    "a cluster of your own begins with `potluck up`"
)


class TokenBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    node: str = Field(pattern=NODE_NAME_PATTERN)
    ttl_s: int = Field(ge=10, le=LONGEST_TTL_S)
    host: str = Field(default="", pattern=r"^[A-Za-z0-9.:-]{0,253}$")


def add_join_routes(app: FastAPI, lan: LanHead | None, why_off: str = LAN_OFF) -> None:
    @app.post("/api/v1/tokens")
    async def create_token(body: TokenBody) -> Response:
        if lan is None:
            return _fault(409, "lan_off", why_off)
        host = body.host or lan.address.host
        if host in EVERY_ADDRESS:
            return _fault(400, "invalid_request", "this head listens on every address; say which one to join: --host")
        token = lan.desk.new_token(NodeId(body.node), body.ttl_s)
        command = f"potluck join {HeadPlace(host, lan.address.port)} --token {token.text()}"
        return _json(TokenMade(command, token.expires_s))

    @app.delete("/api/v1/nodes/{name}")
    async def remove_node(name: str) -> Response:
        if lan is None:
            return _fault(409, "lan_off", why_off)
        if re.match(NODE_NAME_PATTERN, name) is None or not lan.remove(NodeId(name)):
            return _fault(404, "not_found", f"no machine called {name} has joined; `potluck nodes ls` shows who has")
        return _json(MemberRemoved(name))

    @app.exception_handler(JoinRefusedError)
    async def refused(_: Request, error: JoinRefusedError) -> Response:
        return _fault(error.status, error.code, str(error))


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _fault(status: int, code: str, message: str) -> Response:
    return _json(FaultBody(AdminFault(code, message)), status)
