"""The audit at the head's admin API: around every route that changes something, and the routes that are about it."""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.admin_wire import (
    AdminFault,
    AuditCopy,
    AuditCopyList,
    AuditStanding,
    DocumentsNoted,
    FaultBody,
    RefusalsNoted,
    SightingsNoted,
    SignInsNoted,
    SubjectErased,
)
from cluster.audit_documents import DocumentAction, DocumentDeed
from cluster.audit_documents import event_of as document_event
from cluster.audit_records import MOST_DETAILS, AuditEvent, Detail, Outcome
from cluster.audit_rules import READING, Rule, answered, asked, outcome_of, parsed, personal_of, rule_of, target_of
from cluster.audit_sign_ins import SignIn
from cluster.audit_sign_ins import event_of as sign_in_event
from cluster.audit_subjects import SubjectKeys
from cluster.audit_tally import Refusal, event_of
from cluster.audit_trail import AuditTrail, new_request_id
from cluster.audit_writer import AuditUnavailableError
from cluster.behalf import HEADER, BadBehalfError, actor_of
from cluster.grants import LONGEST
from cluster.sightings import Sighting, events_of
from nodes.snapshot import NodeId

UNAVAILABLE = "audit_unavailable"


class AuditGate:
    """No request that changes something gets through without a record of it, and none is answered without a second
    one of what came of it. As middleware: a route cannot be added without it."""

    def __init__(self, app: ASGIApp, trail: AuditTrail, routes: Sequence[BaseRoute]) -> None:
        self._app, self._trail, self._routes = app, trail, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._changes(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        rule, path, parameters = found
        content = await _content(receive)
        body = parsed(content)
        try:
            actor, person = actor_of(dict(scope["headers"]))
        except BadBehalfError as error:
            await _fault(400, "invalid_request", f"{HEADER}: {error}")(scope, receive, send)
            return
        target, personal = target_of(rule, path, parameters, body), personal_of(rule, parameters, body)
        event = AuditEvent(rule.action, "begun", actor, target, new_request_id(), asked(rule, body), personal or person)
        answer = _Answer(content)
        try:
            await self._trail.write(event)
            try:
                await self._app(scope, answer.receive, answer.take)
            except Exception:
                await self._trail.write(replace(event, outcome="failed"))
                raise
            details = (*event.details, *answered(rule, answer.status, parsed(answer.body)))
            await self._trail.write(replace(event, outcome=outcome_of(answer.status), details=details))
        except AuditUnavailableError as error:
            done = f"{rule.action} was carried out, but " if answer.status and answer.status < 400 else ""
            await _fault(503, UNAVAILABLE, f"{done}{error}")(scope, receive, send)
        else:
            await answer.send(send)

    def _changes(self, scope: Scope) -> tuple[Rule, str, dict[str, object]] | None:
        """The rule for the route that will answer, that route's path, and its parameters."""
        if scope["type"] != "http" or scope["method"] in READING:
            return None
        for route in self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                path = route.path if isinstance(route, Route) else scope["path"]
                rule = rule_of(scope["method"], path)
                return (rule, path, child.get("path_params", {})) if rule is not None else None
        return None


class _Answer:
    """The request once more for the app, and its answer held back until it is on record."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content
        self._messages: list[Message] = []
        self.status, self.body = 0, b""

    async def receive(self) -> Message:
        content, self._content = self._content, None
        if content is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": content, "more_body": False}

    async def take(self, message: Message) -> None:
        self._messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")

    async def send(self, send: Send) -> None:
        for message in self._messages:
            await send(message)


class CopyHolders(Protocol):
    """Members that keep checkpoints of this head's audit."""

    async def copies(self) -> tuple[AuditCopy, ...]: ...


class EraseBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Annotated[str, Field(min_length=1, max_length=256)]


class RefusalBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    cause: Annotated[str, Field(max_length=64)]
    key_id: Annotated[str, Field(max_length=64)] = ""
    path: Annotated[str, Field(max_length=128)] = ""
    count: Annotated[int, Field(ge=1, le=1_000_000_000)]


class RefusalsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    refusals: Annotated[list[RefusalBody], Field(max_length=128)]


class SignInBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key_id: Annotated[str, Field(max_length=64)]
    subject: Annotated[str, Field(max_length=255)]
    tenant: Annotated[str, Field(max_length=64)]
    role: Annotated[str, Field(max_length=16)]
    how: Annotated[str, Field(max_length=16)]
    at_s: Annotated[int, Field(ge=0, le=1 << 40)]


class SignInsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sign_ins: Annotated[list[SignInBody], Field(max_length=128)]


ShortName = Annotated[str, Field(max_length=64)]


class SightingBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    at_ms: Annotated[int, Field(ge=0, le=1 << 50)]
    node_id: Annotated[str, Field(max_length=64)]
    zone: ShortName
    classes: Annotated[tuple[ShortName, ...], Field(max_length=256)]
    allowed: Annotated[tuple[ShortName, ...], Field(max_length=64)]
    deed: Annotated[str, Field(max_length=32)]
    about: Annotated[str, Field(max_length=128)]

    def sighting(self) -> Sighting:
        return Sighting(**{**dict(self), "node_id": NodeId(self.node_id)})


class SightingsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sightings: Annotated[list[SightingBody], Field(max_length=1000)]


class DeedBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    action: DocumentAction
    outcome: Outcome
    key_id: Annotated[str, Field(max_length=64)]
    subject: Annotated[str, Field(max_length=255)]
    user: Annotated[str, Field(max_length=255)]
    tenant: Annotated[str, Field(max_length=64)]
    role: Annotated[str, Field(max_length=16)]
    target: Annotated[str, Field(max_length=64)]
    request_id: Annotated[str, Field(max_length=64)]
    details: Annotated[tuple[Detail, ...], Field(max_length=MOST_DETAILS)]
    grant: Annotated[str, Field(max_length=LONGEST)]


class DeedsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    deeds: Annotated[list[DeedBody], Field(max_length=128)]


def add_audit_routes(app: FastAPI, trail: AuditTrail, subjects: Path, holders: CopyHolders | None) -> None:
    """Call it after every other route is there: from here on each is behind the gate."""

    @app.get("/api/v1/audit")
    async def standing() -> Response:
        return _json(AuditStanding(trail.trouble))

    @app.get("/api/v1/audit/copies")
    async def copies() -> Response:
        return _json(AuditCopyList(await holders.copies() if holders is not None else ()))

    @app.post("/api/v1/audit/erase")
    async def erase(body: EraseBody) -> Response:
        try:
            pseudonym = await asyncio.to_thread(_erase, subjects, body.subject)
        except sqlite3.Error as error:
            return _fault(503, UNAVAILABLE, f"{subjects}: {error}")
        if pseudonym is None:
            return _fault(404, "not_found", "the audit knows no such subject; `potluck audit tail` names those it has")
        return _json(SubjectErased(pseudonym))

    _add_gateways_routes(app, trail)

    @app.exception_handler(AuditUnavailableError)
    async def unavailable(_: object, error: AuditUnavailableError) -> Response:
        return _fault(503, UNAVAILABLE, str(error))

    app.add_middleware(AuditGate, trail=trail, routes=app.routes)


def _add_gateways_routes(app: FastAPI, trail: AuditTrail) -> None:
    """What gateways have seen, put on record."""

    @app.post("/api/v1/audit/refusals")
    async def refusals(body: RefusalsBody) -> Response:
        for one in body.refusals:
            refusal = Refusal("endpoint.refuse", one.cause, one.key_id, target=one.path)
            await trail.write(event_of(refusal, one.count))
        return _json(RefusalsNoted(len(body.refusals)))

    @app.post("/api/v1/audit/sign-ins")
    async def sign_ins(body: SignInsBody) -> Response:
        for one in body.sign_ins:
            await trail.write(sign_in_event(SignIn(**dict(one))))
        return _json(SignInsNoted(len(body.sign_ins)))

    @app.post("/api/v1/audit/sent")
    async def sent(body: SightingsBody) -> Response:
        events = list(events_of(one.sighting() for one in body.sightings))
        await asyncio.gather(*(trail.write(event) for event in events))
        return _json(SightingsNoted(len(body.sightings)))

    @app.post("/api/v1/audit/documents")
    async def documents(body: DeedsBody) -> Response:
        deeds = [DocumentDeed(**dict(one)) for one in body.deeds]
        await asyncio.gather(*(trail.write(document_event(one)) for one in deeds))
        return _json(DocumentsNoted(len(deeds)))


def _erase(path: Path, subject: str) -> str | None:
    keys = SubjectKeys.open(path)
    try:
        return keys.erase(subject)
    finally:
        keys.close()


async def _content(receive: Receive) -> bytes:
    content = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return content
        content += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return content


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _fault(status: int, code: str, message: str) -> Response:
    return _json(FaultBody(AdminFault(code, message)), status)
