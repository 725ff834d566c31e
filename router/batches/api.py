"""`/v1/files` and `/v1/batches`, as OpenAI's clients ask them."""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import FileResponse, Response

from router.batches.desk import BatchDesk
from router.batches.media_types import media_type_of
from router.batches.upload import read_form
from router.batches.values import DOCUMENTS
from router.batches.wire import BatchBody
from router.data_class import classes_of
from router.dialects.common import decode
from router.errors import ApiError
from router.guard import asking, body_of, caller, json_answer
from router.listing import Slice
from router.openapi import bytes_answer, form_operation, json_operation

FILES, FILE, CONTENT = "/v1/files", "/v1/files/{file_id}", "/v1/files/{file_id}/content"
BATCHES, BATCH, CANCEL = "/v1/batches", "/v1/batches/{batch_id}", "/v1/batches/{batch_id}/cancel"
BODY_LIMIT_BYTES = 65_536
_bodies = msgspec.json.Decoder(BatchBody)

After = str | None


def add_batch_routes(app: FastAPI, desk: BatchDesk | None) -> None:
    """Without a desk they answer that there is none."""

    def there() -> BatchDesk:
        if desk is None:
            why = "its database cannot be opened, as its log says"
            raise ApiError(503, "batches_off", f"this gateway keeps no files and batches: {why}")
        return desk

    _add_files(app, there)
    _add_batches(app, there)


def _add_files(app: FastAPI, there: Callable[[], BatchDesk]) -> None:
    @app.post(FILES, response_model=None, openapi_extra=form_operation(f"POST {FILES}"))
    async def upload_file(request: Request) -> Response:
        form = await read_form(request, there().folder)
        try:
            return json_answer(await there().keep(caller(request), form.upload(), classes_of(request.headers.raw)))
        finally:
            form.close()

    @app.get(FILES, response_model=None, openapi_extra=json_operation(f"GET {FILES}"))
    async def list_files(
        request: Request,
        after: After = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
        purpose: str | None = None,
    ) -> Response:
        return json_answer(await there().files(caller(request), purpose, Slice(after, limit, order == "asc")))

    @app.get(FILE, response_model=None, openapi_extra=json_operation(f"GET {FILE}"))
    async def get_file(file_id: str, request: Request) -> Response:
        return json_answer(await there().file(caller(request), file_id))

    @app.delete(FILE, response_model=None, openapi_extra=json_operation(f"DELETE {FILE}"))
    async def delete_file(file_id: str, request: Request) -> Response:
        return json_answer(await there().drop(caller(request), file_id))

    @app.get(CONTENT, response_model=None, openapi_extra=bytes_answer())
    async def get_content(file_id: str, request: Request) -> Response:
        """Whatever it is, a browser lays it aside and runs nothing of it."""
        file, path = await there().content(asking(request), file_id)
        kind = media_type_of(file.name) if file.purpose in DOCUMENTS else "application/jsonl"
        headers = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox"}
        return FileResponse(path, media_type=kind, filename=file.name, headers=headers)


def _add_batches(app: FastAPI, there: Callable[[], BatchDesk]) -> None:
    @app.post(BATCHES, response_model=None, openapi_extra=json_operation(f"POST {BATCHES}"))
    async def create_batch(request: Request) -> Response:
        body = decode(_bodies, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().create(caller(request), body, classes_of(request.headers.raw)))

    @app.get(BATCHES, response_model=None, openapi_extra=json_operation(f"GET {BATCHES}"))
    async def list_batches(
        request: Request, after: After = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> Response:
        return json_answer(await there().batches(caller(request), Slice(after, limit)))

    @app.get(BATCH, response_model=None, openapi_extra=json_operation(f"GET {BATCH}"))
    async def get_batch(batch_id: str, request: Request) -> Response:
        return json_answer(await there().batch(caller(request), batch_id))

    @app.post(CANCEL, response_model=None, openapi_extra=json_operation(f"POST {CANCEL}"))
    async def cancel_batch(batch_id: str, request: Request) -> Response:
        return json_answer(await there().cancel(caller(request), batch_id))
