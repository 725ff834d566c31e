"""`/api/v1/rag`: folders of this machine that are read into vector stores, and stores that nobody has to name."""

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from router.dialects.common import decode
from router.guard import body_of, caller, json_answer
from router.knowledge.api import There
from router.knowledge.desk import said
from router.knowledge.objects import FolderDeleted, FolderList, UsualObject
from router.knowledge.told import folder_object
from router.knowledge.wire import FolderBody, UsualBody
from router.openapi import json_operation
from router.readers import reader_of

FOLDERS, FOLDER = "/api/v1/rag/folders", "/api/v1/rag/folders/{folder_id}"
USUAL = "/api/v1/rag/usual"
BODY_LIMIT_BYTES = 262_144
_folders, _usual = msgspec.json.Decoder(FolderBody), msgspec.json.Decoder(UsualBody)


def add_folder_routes(app: FastAPI, there: There) -> None:
    """`there` raises ApiError 503 where no documents are kept."""

    @app.post(FOLDERS, response_model=None, openapi_extra=json_operation(f"POST {FOLDERS}"))
    async def add_folder(request: Request) -> Response:
        body = decode(_folders, await body_of(request, BODY_LIMIT_BYTES))
        with said("path"):
            reader, knowledge = reader_of(caller(request)), there().knowledge
            found = await knowledge.add_folder(reader, body.vector_store_id, body.path, body.watch)
        return json_answer(folder_object(found))

    @app.get(FOLDERS, response_model=None, openapi_extra=json_operation(f"GET {FOLDERS}"))
    async def list_folders(request: Request) -> Response:
        with said():
            found = await there().knowledge.folders(reader_of(caller(request)))
        return json_answer(FolderList(data=[folder_object(folder) for folder in found]))

    @app.delete(FOLDER, response_model=None, openapi_extra=json_operation(f"DELETE {FOLDER}"))
    async def delete_folder(folder_id: str, request: Request) -> Response:
        with said():
            await there().knowledge.drop_folder(reader_of(caller(request)), folder_id)
        return json_answer(FolderDeleted(id=folder_id))

    @app.post(USUAL, response_model=None, openapi_extra=json_operation(USUAL))
    async def set_usual(request: Request) -> Response:
        body = decode(_usual, await body_of(request, BODY_LIMIT_BYTES))
        with said("vector_store_id"):
            reader = reader_of(caller(request))
            await there().knowledge.set_usual(reader, body.vector_store_id, body.models, body.keys)
        told = UsualObject(vector_store_id=body.vector_store_id, models=body.models, keys=body.keys)
        return json_answer(told)
