"""`/api/v1/rag`: folders of this machine that are read into vector stores, stores that nobody has to name, questions
whose answers say everything, and files that are to be read again."""

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from router.dialects.common import decode
from router.guard import asking, body_of, json_answer
from router.knowledge.api import There
from router.knowledge.desk import said
from router.knowledge.key_names import ids_of
from router.knowledge.objects import FolderDeleted, FolderList, UsualObject
from router.knowledge.told import folder_object
from router.knowledge.wire import AgainBody, FolderBody, QuestionBody, UsualBody
from router.openapi import json_operation

FOLDERS, FOLDER = "/api/v1/rag/folders", "/api/v1/rag/folders/{folder_id}"
USUAL, ANSWERS, AGAIN = "/api/v1/rag/usual", "/api/v1/rag/search", "/api/v1/rag/retry"
BODY_LIMIT_BYTES = 262_144
_folders, _usual = msgspec.json.Decoder(FolderBody), msgspec.json.Decoder(UsualBody)
_questions, _again = msgspec.json.Decoder(QuestionBody), msgspec.json.Decoder(AgainBody)


def add_folder_routes(app: FastAPI, there: There) -> None:
    """`there` raises ApiError 503 where no documents are kept."""

    @app.post(FOLDERS, response_model=None, openapi_extra=json_operation(f"POST {FOLDERS}"))
    async def add_folder(request: Request) -> Response:
        body = decode(_folders, await body_of(request, BODY_LIMIT_BYTES))
        with said("path"):
            reader, knowledge = asking(request).reader, there().knowledge
            found = await knowledge.add_folder(reader, body.vector_store_id, body.path, body.watch)
        return json_answer(folder_object(found))

    @app.get(FOLDERS, response_model=None, openapi_extra=json_operation(f"GET {FOLDERS}"))
    async def list_folders(request: Request) -> Response:
        with said():
            found = await there().knowledge.folders(asking(request).reader)
        return json_answer(FolderList(data=[folder_object(folder) for folder in found]))

    @app.delete(FOLDER, response_model=None, openapi_extra=json_operation(f"DELETE {FOLDER}"))
    async def delete_folder(folder_id: str, request: Request) -> Response:
        with said():
            await there().knowledge.drop_folder(asking(request).reader, folder_id)
        return json_answer(FolderDeleted(id=folder_id))

    @app.post(ANSWERS, response_model=None, openapi_extra=json_operation(ANSWERS))
    async def answer(request: Request) -> Response:
        body = decode(_questions, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().answer(asking(request), body))

    @app.post(AGAIN, response_model=None, openapi_extra=json_operation(AGAIN))
    async def read_again(request: Request) -> Response:
        body = decode(_again, await body_of(request, BODY_LIMIT_BYTES))
        return json_answer(await there().read_again(asking(request), body))

    @app.post(USUAL, response_model=None, openapi_extra=json_operation(USUAL))
    async def set_usual(request: Request) -> Response:
        body = decode(_usual, await body_of(request, BODY_LIMIT_BYTES))
        with said("vector_store_id"):
            reader = asking(request).reader
            keys = ids_of(body.keys, reader.tenant, there().keys())
            store = await there().knowledge.set_usual(reader, body.vector_store_id, body.models, keys)
        readers = list(store.readers)
        told = UsualObject(vector_store_id=store.store_id, models=body.models, keys=keys, readers=readers)
        return json_answer(told)
