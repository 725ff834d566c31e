"""`/v1/vector_stores`, as OpenAI's clients ask them."""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import Response

from cluster.knowledge import FileStatus
from router.dialects.common import decode
from router.guard import asking, body_of, json_answer
from router.knowledge.desk import DocumentDesk
from router.knowledge.wire import (
    AttributesBody,
    BatchOfFilesBody,
    FileBody,
    SearchBody,
    StoreBody,
    StoreChangeBody,
)
from router.listing import Slice
from router.openapi import json_operation

STORES = "/v1/vector_stores"
STORE = f"{STORES}/{{vector_store_id}}"
SEARCH = f"{STORE}/search"
FILES, FILE = f"{STORE}/files", f"{STORE}/files/{{file_id}}"
CONTENT = f"{FILE}/content"
VERSIONS, DIFF = f"{FILE}/versions", f"{FILE}/diff"
BATCHES, BATCH = f"{STORE}/file_batches", f"{STORE}/file_batches/{{batch_id}}"
CANCEL, BATCH_FILES = f"{BATCH}/cancel", f"{BATCH}/files"
BODY_LIMIT_BYTES = 8_000_000  # 500 files with all the attributes that they may have

There = Callable[[], DocumentDesk]
_stores, _changes = msgspec.json.Decoder(StoreBody), msgspec.json.Decoder(StoreChangeBody)
_files, _attributes = msgspec.json.Decoder(FileBody), msgspec.json.Decoder(AttributesBody)
_batches, _searches = msgspec.json.Decoder(BatchOfFilesBody), msgspec.json.Decoder(SearchBody)


def _slice(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    before: str | None = None,
) -> Slice:
    return Slice(after, limit, order == "asc", before)


Part = Annotated[Slice, Depends(_slice)]
Filter = Annotated[FileStatus | None, Query()]
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


def add_store_routes(app: FastAPI, there: There) -> None:
    """`there` raises ApiError 503 where no documents are kept."""
    _add_stores(app, there)
    _add_files(app, there)
    _add_versions(app, there)
    _add_batches(app, there)


def _add_stores(app: FastAPI, there: There) -> None:
    @app.post(STORES, response_model=None, openapi_extra=json_operation(f"POST {STORES}"))
    async def create_store(request: Request) -> Response:
        body = decode(_stores, await body_of(request, BODY_LIMIT_BYTES) or b"{}")
        return json_answer(await there().create(asking(request), body))

    @app.get(STORES, response_model=None, openapi_extra=json_operation(f"GET {STORES}"))
    async def list_stores(request: Request, part: Part) -> Response:
        return json_answer(await there().stores(asking(request), part))

    @app.get(STORE, response_model=None, openapi_extra=json_operation(f"GET {STORE}"))
    async def get_store(vector_store_id: str, request: Request) -> Response:
        return json_answer(await there().store(asking(request), vector_store_id))

    @app.post(STORE, response_model=None, openapi_extra=json_operation(f"POST {STORE}"))
    async def change_store(vector_store_id: str, request: Request) -> Response:
        body = decode(_changes, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().change(asking(request), vector_store_id, body))

    @app.delete(STORE, response_model=None, openapi_extra=json_operation(f"DELETE {STORE}"))
    async def delete_store(vector_store_id: str, request: Request) -> Response:
        return json_answer(await there().drop(asking(request), vector_store_id))

    @app.post(SEARCH, response_model=None, openapi_extra=json_operation(f"POST {SEARCH}"))
    async def search_store(vector_store_id: str, request: Request) -> Response:
        body = decode(_searches, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().search(asking(request), vector_store_id, body))


def _add_files(app: FastAPI, there: There) -> None:
    @app.post(FILES, response_model=None, openapi_extra=json_operation(f"POST {FILES}"))
    async def add_file(vector_store_id: str, request: Request) -> Response:
        body = decode(_files, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().add(asking(request), vector_store_id, body))

    @app.get(FILES, response_model=None, openapi_extra=json_operation(f"GET {FILES}"))
    async def list_store_files(
        vector_store_id: str, request: Request, part: Part, filter: Filter = None
    ) -> Response:  # fmt: skip
        return json_answer(await there().files(asking(request), vector_store_id, filter, part))

    @app.get(FILE, response_model=None, openapi_extra=json_operation(f"GET {FILE}"))
    async def get_store_file(vector_store_id: str, file_id: str, request: Request) -> Response:
        return json_answer(await there().file(asking(request), vector_store_id, file_id))

    @app.post(FILE, response_model=None, openapi_extra=json_operation(f"POST {FILE}"))
    async def change_store_file(vector_store_id: str, file_id: str, request: Request) -> Response:
        body = decode(_attributes, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().change_file(asking(request), vector_store_id, file_id, body))

    @app.delete(FILE, response_model=None, openapi_extra=json_operation(f"DELETE {FILE}"))
    async def delete_store_file(vector_store_id: str, file_id: str, request: Request) -> Response:
        return json_answer(await there().drop_file(asking(request), vector_store_id, file_id))

    @app.get(CONTENT, response_model=None, openapi_extra=json_operation(f"GET {CONTENT}"))
    async def get_store_content(
        vector_store_id: str, file_id: str, request: Request, version: Version = None
    ) -> Response:
        return json_answer(await there().texts(asking(request), vector_store_id, file_id, version))


def _add_versions(app: FastAPI, there: There) -> None:
    @app.get(VERSIONS, response_model=None, openapi_extra=json_operation(f"GET {VERSIONS}"))
    async def list_versions(vector_store_id: str, file_id: str, request: Request) -> Response:
        return json_answer(await there().versions(asking(request), vector_store_id, file_id))

    @app.get(DIFF, response_model=None, openapi_extra=json_operation(f"GET {DIFF}"))
    async def compare_versions(
        vector_store_id: str,
        file_id: str,
        request: Request,
        old: Annotated[Version, Query(alias="from")] = None,
        new: Annotated[Version, Query(alias="to")] = None,
    ) -> Response:
        return json_answer(await there().difference(asking(request), vector_store_id, file_id, old, new))


def _add_batches(app: FastAPI, there: There) -> None:
    @app.post(BATCHES, response_model=None, openapi_extra=json_operation(f"POST {BATCHES}"))
    async def create_file_batch(vector_store_id: str, request: Request) -> Response:
        body = decode(_batches, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().add_batch(asking(request), vector_store_id, body))

    @app.get(BATCH, response_model=None, openapi_extra=json_operation(f"GET {BATCH}"))
    async def get_file_batch(vector_store_id: str, batch_id: str, request: Request) -> Response:
        return json_answer(await there().batch(asking(request), vector_store_id, batch_id))

    @app.post(CANCEL, response_model=None, openapi_extra=json_operation(f"POST {CANCEL}"))
    async def cancel_file_batch(vector_store_id: str, batch_id: str, request: Request) -> Response:
        return json_answer(await there().cancel_batch(asking(request), vector_store_id, batch_id))

    @app.get(BATCH_FILES, response_model=None, openapi_extra=json_operation(f"GET {BATCH_FILES}"))
    async def list_batch_files(
        vector_store_id: str, batch_id: str, request: Request, part: Part, filter: Filter = None
    ) -> Response:  # fmt: skip
        return json_answer(await there().files(asking(request), vector_store_id, filter, part, batch_id))
