"""A server that speaks Weaviate's wire format, REST and gRPC, as far as the store asks it: for what the client sends.

It is no Weaviate: it looks at every object. That the server itself does what is asked of it is for the contract's tests
against one, where POTLUCK_TEST_WEAVIATE_URL names it.
"""

import asyncio
import math
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import grpc.aio  # type: ignore[import-untyped]  # it publishes no types
import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from weaviate.proto.v1 import (
    base_pb2,
    batch_delete_pb2,
    batch_pb2,
    properties_pb2,
    search_get_pb2,
    weaviate_pb2_grpc,
)

from router.service import listen
from support.nodes import until

KEY = "a key for tests"
MOST_DELETED = 5  # at once, so that nobody relies on more

_INDEXED = {"indexFilterable": True, "indexSearchable": True, "indexRangeFilters": False}  # unless it is told
_HNSW = (
    "cleanupIntervalSeconds", "dynamicEfMin", "dynamicEfMax", "dynamicEfFactor", "ef", "efConstruction",
    "flatSearchCutoff", "maxConnections", "vectorCacheMaxObjects",
)  # fmt: skip
Compare = Callable[[Any, Any], bool]
_SIZES: Mapping[int, Compare] = {
    base_pb2.Filters.OPERATOR_GREATER_THAN: operator.gt,
    base_pb2.Filters.OPERATOR_GREATER_THAN_EQUAL: operator.ge,
    base_pb2.Filters.OPERATOR_LESS_THAN: operator.lt,
    base_pb2.Filters.OPERATOR_LESS_THAN_EQUAL: operator.le,
}


@dataclass
class Kept:
    uuid: UUID
    properties: dict[str, Any]
    vector: bytes


@dataclass
class Shelf:
    """A collection: its schema, and objects by tenant; "" where it has none."""

    schema: dict[str, Any]
    tenants: dict[str, dict[UUID, Kept]] = field(default_factory=dict)

    def kind(self, name: str) -> str:
        return next(str(one["dataType"][0]) for one in self.schema["properties"] if one["name"] == name)


class WeaviateWire(weaviate_pb2_grpc.WeaviateServicer):
    def __init__(self, version: str = "1.40.2") -> None:
        self.version = version
        self.shelves: dict[str, Shelf] = {}
        self.before_search: Callable[[], None] = lambda: None
        self.near_limits: list[int] = []
        self.http_port = self.grpc_port = 0

    def objects(self, collection: str, tenant: str) -> dict[UUID, Kept]:
        return self.shelves[collection].tenants[tenant]

    async def Search(self, request: Any, context: Any) -> Any:  # noqa: N802  # as the format names it
        await self._admit(context)
        self.before_search()
        if request.tenant not in self.shelves[request.collection].tenants:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"tenant not found: {request.tenant!r}")
        found = [
            one
            for one in self.objects(request.collection, request.tenant).values()
            if not request.HasField("filters") or _met(one, request.filters)
        ]
        rows: list[tuple[Kept, dict[str, Any]]]
        if request.HasField("near_vector"):
            self.near_limits.append(request.limit)
            rows = _near(found, request.near_vector.vector_bytes or request.near_vector.vectors[0].vector_bytes)
        elif request.HasField("bm25_search"):
            rows = _by_words(found, request.bm25_search)
        else:
            rows = [(one, {}) for one in sorted(found, key=lambda one: one.uuid) if str(one.uuid) > request.after]
        shelf = self.shelves[request.collection]
        return search_get_pb2.SearchReply(
            results=[_result(shelf, one, more, request.metadata) for one, more in rows[: request.limit or 25]]
        )

    async def BatchObjects(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._admit(context)
        for one in request.objects:
            properties = dict(one.properties.non_ref_properties)
            properties |= {part.prop_name: list(part.values) for part in one.properties.text_array_properties}
            known = {told["name"] for told in self.shelves[one.collection].schema["properties"]}
            assert {*properties} <= known, f"a property that the collection has not: {sorted({*properties} - known)}"
            vector = one.vector_bytes or b"".join(part.vector_bytes for part in one.vectors)
            self.objects(one.collection, one.tenant)[UUID(one.uuid)] = Kept(UUID(one.uuid), properties, vector)
            await asyncio.sleep(0)  # others may ask between two objects
        return batch_pb2.BatchObjectsReply()

    async def BatchDelete(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._admit(context)
        objects = self.objects(request.collection, request.tenant)
        gone = [one for one in objects.values() if _met(one, request.filters)][:MOST_DELETED]
        for one in gone:
            del objects[one.uuid]
        return batch_delete_pb2.BatchDeleteReply(matches=len(gone), successful=len(gone))

    async def _admit(self, context: Any) -> None:
        if ("authorization", f"Bearer {KEY}") not in [tuple(one) for one in context.invocation_metadata()]:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

    def rest(self) -> FastAPI:
        app = FastAPI()
        app.middleware("http")(_admitted)
        for path, method, handler in (
            ("/v1/meta", "GET", self._meta),
            ("/v1/schema/{name}", "GET", self._schema),
            ("/v1/schema", "POST", self._create),
            ("/v1/schema/{name}/properties", "POST", self._add_property),
            ("/v1/schema/{name}/tenants", "POST", self._add_tenants),
            ("/v1/schema/{name}/tenants", "DELETE", self._remove_tenants),
            ("/v1/schema/{name}/tenants/{tenant}", "HEAD", self._has_tenant),
            ("/v1/objects/{name}/{uuid}", "DELETE", self._delete),
        ):
            app.add_api_route(path, handler, methods=[method], response_model=None)
        return app

    async def _meta(self) -> dict[str, str]:
        return {"version": self.version, "hostname": "here"}

    async def _schema(self, name: str) -> Response | dict[str, Any]:
        return self.shelves[name].schema if name in self.shelves else Response(status_code=404)

    async def _create(self, request: Request) -> dict[str, Any]:
        told = dict(await request.json())
        told["properties"] = [_INDEXED | one for one in told["properties"]]
        for one in told["vectorConfig"].values():
            one["vectorIndexConfig"] = {**dict.fromkeys(_HNSW, 1), "skip": False, **one["vectorIndexConfig"]}
        tenants: dict[str, dict[UUID, Kept]] = {} if told["multiTenancyConfig"]["enabled"] else {"": {}}
        self.shelves[told["class"]] = Shelf(told, tenants)
        return told

    async def _add_property(self, name: str, request: Request) -> dict[str, Any]:
        told = _INDEXED | dict(await request.json())
        self.shelves[name].schema["properties"].append(told)
        return told

    async def _add_tenants(self, name: str, request: Request) -> list[dict[str, Any]]:
        told = list(await request.json())
        for one in told:
            self.shelves[name].tenants.setdefault(one["name"], {})
        return told

    async def _has_tenant(self, name: str, tenant: str) -> Response:
        return Response(status_code=200 if tenant in self.shelves[name].tenants else 404)

    async def _remove_tenants(self, name: str, request: Request) -> Response:
        for one in await request.json():
            self.shelves[name].tenants.pop(one, None)
        return Response(status_code=200)

    async def _delete(self, name: str, uuid: UUID, tenant: str = "") -> Response:
        return Response(status_code=204 if self.objects(name, tenant).pop(uuid, None) else 404)


async def _admitted(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return Response('{"error":[{"message":"who are you?"}]}', 401, media_type="application/json")
    return await go_on(request)


def _met(one: Kept, told: Any) -> bool:
    kinds = base_pb2.Filters
    if told.operator in (kinds.OPERATOR_AND, kinds.OPERATOR_OR):
        each = [_met(one, part) for part in told.filters]
        return all(each) if told.operator == kinds.OPERATOR_AND else any(each)
    name = told.target.property
    value = str(one.uuid) if name == "_id" else one.properties.get(name)
    field_name = told.WhichOneof("test_value")
    wanted = getattr(told, field_name)
    if field_name == "value_text_array":
        has = {*value} if isinstance(value, list) else {value}
        found = bool(has & {*wanted.values})
        return found if told.operator == kinds.OPERATOR_CONTAINS_ANY else not found
    if told.operator == kinds.OPERATOR_EQUAL:
        return bool(value == wanted)
    return value is not None and _SIZES[told.operator](value, wanted)


def _near(found: list[Kept], vector: bytes) -> list[tuple[Kept, dict[str, Any]]]:
    asked = np.frombuffer(vector, dtype="<f4")

    def distance(one: Kept) -> float:
        other = np.frombuffer(one.vector, dtype="<f4")
        return 1.0 - float(asked @ other) / float(np.linalg.norm(asked) * np.linalg.norm(other))

    return [
        (one, {"distance": distance(one), "distance_present": True})
        for one in sorted(found, key=lambda one: (distance(one), one.uuid))
    ]


def _by_words(found: list[Kept], told: Any) -> list[tuple[Kept, dict[str, Any]]]:
    """Not BM25 to the number: how often rare words stand there, and where."""
    words, weighed = told.query.split(), [(name, float(weight or 1)) for name, _, weight in _weights(told.properties)]
    texts = {one.uuid: {name: str(one.properties[name]).split() for name, _ in weighed} for one in found}
    having = {word: sum(any(word in part for part in text.values()) for text in texts.values()) for word in words}
    scores = {
        one.uuid: sum(
            weight * math.log(1 + len(found) / having[word]) * texts[one.uuid][name].count(word)
            for word in words
            if having[word]
            for name, weight in weighed
        )
        for one in found
    }
    rows = sorted((one for one in found if scores[one.uuid] > 0), key=lambda one: (-scores[one.uuid], one.uuid))
    return [(one, {"score": scores[one.uuid], "score_present": True}) for one in rows]


def _weights(names: Any) -> Iterator[tuple[str, str, str]]:
    return (name.partition("^") for name in names)


def _result(shelf: Shelf, one: Kept, more: Mapping[str, Any], asked: Any) -> Any:
    fields = {name: _value(shelf.kind(name), value) for name, value in one.properties.items()}
    wants_vector = asked.vector or len(asked.vectors) > 0
    return search_get_pb2.SearchResult(
        properties=search_get_pb2.PropertiesResult(non_ref_props=properties_pb2.Properties(fields=fields)),
        metadata=search_get_pb2.MetadataResult(
            id=str(one.uuid),
            id_as_bytes=one.uuid.bytes,
            creation_time_unix=1,
            creation_time_unix_present=True,
            last_update_time_unix=1,
            last_update_time_unix_present=True,
            vectors=[base_pb2.Vectors(name="default", vector_bytes=one.vector)] if wants_vector else [],
            **more,
        ),
    )


def _value(kind: str, value: Any) -> Any:
    if kind == "text[]":
        return properties_pb2.Value(list_value=properties_pb2.ListValue(text_values={"values": value}))
    named = {"text": "text_value", "int": "int_value", "number": "number_value", "boolean": "bool_value"}[kind]
    told: dict[str, Any] = {named: int(value) if kind == "int" else value}
    return properties_pb2.Value(**told)


@asynccontextmanager
async def weaviate_wire(version: str = "1.40.2") -> AsyncIterator[WeaviateWire]:
    """In this loop, on free ports of this machine, until the block ends."""
    wire, listener = WeaviateWire(version), listen("127.0.0.1", 0)
    wire.http_port = listener.getsockname()[1]
    rest = uvicorn.Server(uvicorn.Config(wire.rest(), log_config=None, lifespan="off"))
    serving = asyncio.create_task(rest.serve(sockets=[listener]))
    server = grpc.aio.server()
    weaviate_pb2_grpc.add_WeaviateServicer_to_server(wire, server)  # type: ignore[no-untyped-call]  # it was generated
    wire.grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await until(lambda: rest.started or serving.done(), "it listens")
        yield wire
    finally:
        await server.stop(None)
        rest.should_exit = True
        await serving
