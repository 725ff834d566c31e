"""The part of /api/v1 about API keys: make, list, rotate, limit, revoke. Only making and rotating show a key."""

from typing import Annotated, Protocol

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from cluster.admin_wire import AdminFault, FactorMade, FaultBody, KeyFacts, KeyList, KeyMade
from cluster.config_limits import LimitsSection
from cluster.config_values import PublicName
from cluster.key_order import KeyOrder, KeyRefusedError
from cluster.key_records import StoredKey
from cluster.limits import Limits
from cluster.pii.policy import Policy
from cluster.roles import Role, Scope
from cluster.snapshot import KeyRecord

ModelPattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/*-]{1,128}$")]
LONGEST_LIFETIME_S = 10 * 366 * 86400


class KeyControl(Protocol):
    """What an operator may do about keys. Each raises KeyRefusedError."""

    def all(self) -> tuple[StoredKey, ...]: ...

    def create(self, order: KeyOrder) -> tuple[KeyRecord, str]: ...

    def rotate(self, name: str) -> tuple[KeyRecord, str]: ...

    def limit(self, name: str, limits: Limits) -> KeyRecord: ...

    def factor_on(self, name: str) -> tuple[KeyRecord, str]: ...

    def factor_off(self, name: str) -> KeyRecord: ...

    def revoke(self, name: str) -> KeyRecord: ...


class KeyBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: PublicName
    role: Role = "user"
    group: PublicName = "default"
    tenant: PublicName = "default"
    data_class: PublicName = "private"
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] | None = None
    models: Annotated[tuple[ModelPattern, ...], Field(min_length=1, max_length=256)] | None = None
    lifetime_s: Annotated[int, Field(ge=1, le=LONGEST_LIFETIME_S)] | None = None
    front_end: bool = False
    limits: LimitsSection = LimitsSection()
    answers_kept_s: Annotated[int, Field(ge=1, le=LONGEST_LIFETIME_S)] | None = None
    pii: Policy | None = None

    def order(self) -> KeyOrder:
        return KeyOrder(**{**dict(self), "limits": self.limits.values()})


def add_key_routes(app: FastAPI, keys: KeyControl) -> None:
    @app.get("/api/v1/keys")
    async def list_keys() -> Response:
        return _json(KeyList(tuple(facts_of(stored.record, stored.revoked_s) for stored in keys.all())))

    @app.post("/api/v1/keys")
    async def create_key(body: KeyBody) -> Response:
        record, key = keys.create(body.order())
        return _json(KeyMade(key, facts_of(record)))

    @app.post("/api/v1/keys/{name}/rotate")
    async def rotate_key(name: str) -> Response:
        record, key = keys.rotate(name)
        return _json(KeyMade(key, facts_of(record)))

    @app.put("/api/v1/keys/{name}/limits")
    async def limit_key(name: str, body: LimitsSection) -> Response:
        return _json(facts_of(keys.limit(name, body.values())))

    @app.put("/api/v1/keys/{name}/totp")
    async def factor_on(name: str) -> Response:
        record, address = keys.factor_on(name)
        return _json(FactorMade(address, facts_of(record)))

    @app.delete("/api/v1/keys/{name}/totp")
    async def factor_off(name: str) -> Response:
        return _json(facts_of(keys.factor_off(name)))

    @app.delete("/api/v1/keys/{name}")
    async def revoke_key(name: str) -> Response:
        return _json(facts_of(keys.revoke(name)))

    @app.exception_handler(KeyRefusedError)
    async def refused(_: Request, error: KeyRefusedError) -> Response:
        return _json(FaultBody(AdminFault(error.code, str(error))), error.status)


def facts_of(record: KeyRecord, revoked_s: int | None = None) -> KeyFacts:
    """All of a record but its digest."""
    return KeyFacts(
        name=record.name,
        key_id=record.key_id,
        role=record.role,
        group=record.group,
        tenant=record.tenant,
        data_class=record.data_class,
        scopes=record.scopes,
        models=record.models,
        front_end=record.front_end,
        created_s=record.created_s,
        expires_s=record.expires_s,
        revoked_s=revoked_s,
        limits=record.limits,
        answers_kept_s=record.answers_kept_s,
        pii=record.pii,
        totp=record.totp is not None,
    )


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
