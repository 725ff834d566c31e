"""A file as it arrives: a multipart form, written to the folder of files piece by piece."""

import os
from pathlib import Path
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, create_form_parser

from router.batches.store import write_file
from router.batches.values import Purpose
from router.errors import invalid, too_large

FILE_LIMIT_BYTES = 512_000_000  # OpenAI's
BATCH_LIMIT_BYTES = 200_000_000  # OpenAI's, of a batch
FORM_BYTES = 64 * 1024  # of all that is around it
NAME_LIMIT = 255
LEAST_KEPT_S, MOST_KEPT_S = 3600, 30 * 24 * 3600
PURPOSES: tuple[Purpose, ...] = ("batch", "assistants", "user_data")  # of files that clients bring
_FIELDS = {"purpose", "expires_after[anchor]", "expires_after[seconds]"}


class Upload:
    """One form. It is to be closed: what was not moved is gone then."""

    def __init__(self, parts: list[File], fields: dict[str, str]) -> None:
        """Raises ApiError 400."""
        self._parts = parts
        unknown = sorted(fields.keys() - _FIELDS)
        if unknown:
            raise invalid(f"unknown field `{unknown[0][:60]}`", unknown[0][:60], "unknown_parameter")
        if len(parts) != 1 or parts[0].field_name != b"file":
            raise invalid("a form with one file, in the field `file`", "file")
        self.purpose = _purpose(fields)
        if self.purpose == "batch" and parts[0].size > BATCH_LIMIT_BYTES:
            raise too_large(BATCH_LIMIT_BYTES)
        self.name = _name(parts[0])
        self.kept_s = _kept_s(fields)

    def move_to(self, path: Path) -> int:
        """Its content, whole on the disk. Returns its size in bytes. Blocks."""
        file = self._parts[0].file_object
        file.seek(0)
        return write_file(path, iter(lambda: file.read(1 << 20), b""))


class FormReader:
    """Holds the form while it arrives."""

    def __init__(self, content_type: str, folder: Path) -> None:
        """Raises ApiError 400 where it is no form."""
        self._parts: list[File] = []
        self._fields: dict[str, str] = {}
        self._size = 0
        config: dict[str, Any] = {
            "UPLOAD_DIR": os.fspath(folder),
            "MAX_MEMORY_FILE_SIZE": 0,
            "MAX_FIELD_SIZE": FORM_BYTES,
            "MAX_FIELDS": len(_FIELDS) + 1,
        }
        if not content_type.startswith("multipart/form-data"):
            raise invalid("a file comes as multipart/form-data")
        try:
            headers = {"Content-Type": content_type.encode("latin-1")}
            self._parser: FormParser = create_form_parser(headers, self._take_field, self._parts.append, config)
        except (FormParserError, ValueError) as error:
            raise invalid(f"not a form: {error}") from error

    def feed(self, piece: bytes) -> None:
        """Raises ApiError 400 or 413."""
        self._size += len(piece)
        if self._size > FILE_LIMIT_BYTES + FORM_BYTES:
            raise too_large(FILE_LIMIT_BYTES)
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise invalid(f"not a form: {error}") from error

    def upload(self) -> Upload:
        """Raises ApiError 400."""
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise invalid(f"not a form: {error}") from error
        return Upload(self._parts, self._fields)

    def close(self) -> None:
        for part in self._parts:
            part.close()

    def _take_field(self, field: Field) -> None:
        name = (field.field_name or b"").decode("utf-8", "replace")
        self._fields[name] = (field.value or b"").decode("utf-8", "replace")


async def read_form(request: Request, folder: Path) -> FormReader:
    """All of it. Raises ApiError 400 or 413, with nothing left behind."""
    reader = FormReader(request.headers.get("content-type", ""), folder)
    try:
        async for piece in request.stream():
            reader.feed(piece)
    except BaseException:
        reader.close()
        raise
    return reader


def _purpose(fields: dict[str, str]) -> Purpose:
    for purpose in PURPOSES:
        if fields.get("purpose") == purpose:
            return purpose
    raise invalid(f"`purpose` is one of {', '.join(PURPOSES)}", "purpose")


def _name(part: File) -> str:
    name = (part.file_name or b"").decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    return name[:NAME_LIMIT] or "file"


def _kept_s(fields: dict[str, str]) -> int | None:
    if "expires_after[seconds]" not in fields and "expires_after[anchor]" not in fields:
        return None
    if fields.get("expires_after[anchor]") != "created_at":
        raise invalid("`expires_after[anchor]` is `created_at`", "expires_after")
    seconds = fields.get("expires_after[seconds]", "")
    if not seconds.isdecimal() or not LEAST_KEPT_S <= int(seconds) <= MOST_KEPT_S:
        raise invalid(f"`expires_after[seconds]` is {LEAST_KEPT_S} to {MOST_KEPT_S}", "expires_after")
    return int(seconds)
