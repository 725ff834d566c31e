"""`/api/v1/privacy`: what potluck keeps of a person, handed over, and erased. For whoever has the scope `admin`."""

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from cluster.erasure_list import Entry
from router.dialects.common import decode
from router.erasing.eraser import Eraser
from router.erasing.wire import ErasureObject, ErasureObjects, HoldingObjects, PersonBody, ReplayBody, ReplayObject
from router.errors import ApiError
from router.guard import body_of, json_answer
from router.openapi import json_operation

PREVIEW, EXPORT, ERASE = (f"/api/v1/privacy/{deed}" for deed in ("preview", "export", "erase"))
ERASURES, REPLAY = "/api/v1/privacy/erasures", "/api/v1/privacy/replay"
BODY_LIMIT_BYTES = 1_000_000
LIST_LIMIT_BYTES = 64_000_000
NONE_HERE = "this gateway was started without what erases"

_people, _lists = msgspec.json.Decoder(PersonBody), msgspec.json.Decoder(ReplayBody)


def add_privacy_routes(app: FastAPI, eraser: Eraser | None) -> None:
    def there() -> Eraser:
        if eraser is None:
            raise ApiError(503, "erasures_off", NONE_HERE)
        return eraser

    @app.post(PREVIEW, response_model=None, openapi_extra=json_operation(PREVIEW))
    async def preview(request: Request) -> Response:
        person = decode(_people, await body_of(request, BODY_LIMIT_BYTES)).told()
        return json_answer(HoldingObjects(await there().preview(person)))

    @app.post(EXPORT, response_model=None, openapi_extra=_zip_operation())
    async def export(request: Request) -> Response:
        person = decode(_people, await body_of(request, BODY_LIMIT_BYTES)).told()
        headers = {"content-disposition": 'attachment; filename="export.zip"', "cache-control": "no-store"}
        return Response(await there().export(person), media_type="application/zip", headers=headers)

    @app.post(ERASE, response_model=None, openapi_extra=json_operation(ERASE))
    async def erase(request: Request) -> Response:
        person = decode(_people, await body_of(request, BODY_LIMIT_BYTES)).told()
        return json_answer(_told(*await there().erase(person)))

    @app.get(ERASURES, response_model=None, openapi_extra=json_operation(ERASURES))
    async def erasures() -> Response:
        return json_answer(ErasureObjects(tuple(_told(one) for one in there().list.entries())))

    @app.post(REPLAY, response_model=None, openapi_extra=json_operation(REPLAY))
    async def replay(request: Request) -> Response:
        body = decode(_lists, await body_of(request, LIST_LIMIT_BYTES))
        return json_answer(ReplayObject(await there().replay(body.list.encode() or None)))


def _zip_operation() -> dict[str, object]:
    said = json_operation(EXPORT)
    content = {"application/zip": {"schema": {"type": "string", "contentMediaType": "application/zip"}}}
    return said | {"responses": said["responses"] | {"200": {"description": "A zip file.", "content": content}}}


def _told(entry: Entry, outside: tuple[str, ...] = ()) -> ErasureObject:
    return ErasureObject(
        id=entry.erasure_id,
        state=entry.state,
        begun_at=entry.begun_s,
        done_at=entry.done_s,
        holdings=entry.holdings,
        trouble=entry.trouble,
        outside=outside,
    )
