"""Files and batches as OpenAI's clients know them, and the lines of an output file."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from router.batches.values import BatchRow, BatchStatus, Counts, FileRow, LineAnswer, Problem, Purpose


class FileObject(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | UnsetType = UNSET
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"


class FileList(msgspec.Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/batches."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = None


class RequestCounts(msgspec.Struct):
    total: int
    completed: int
    failed: int


class Problems(msgspec.Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Problem]


class BatchObject(msgspec.Struct, kw_only=True):
    """`potluck_why` tells why nothing of it runs at this moment."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: Problems | None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None
    potluck_why: str | UnsetType = UNSET


class BatchList(msgspec.Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class _Response(msgspec.Struct):
    status_code: int
    request_id: str
    body: msgspec.Raw


class _LineError(msgspec.Struct):
    code: str
    message: str


class OutputLine(msgspec.Struct):
    id: str
    custom_id: str
    response: _Response | None
    error: _LineError | None


_encode = msgspec.json.Encoder().encode


def file_object(row: FileRow) -> FileObject:
    return FileObject(
        id=row.file_id,
        bytes=row.size_bytes,
        created_at=row.created_s,
        expires_at=UNSET if row.expires_s is None else row.expires_s,
        filename=row.name,
        purpose=row.purpose,
    )


def batch_object(row: BatchRow, counts: Counts, why: str = "") -> BatchObject:
    times = row.times
    return BatchObject(
        id=row.batch_id,
        endpoint=row.endpoint,
        errors=Problems(data=list(row.errors)) if row.errors else None,
        input_file_id=row.input_file,
        status=row.status,
        output_file_id=row.output_file,
        error_file_id=row.error_file,
        created_at=times["validating"],
        in_progress_at=times.get("in_progress"),
        expires_at=times["expires"],
        finalizing_at=times.get("finalizing"),
        completed_at=times.get("completed"),
        failed_at=times.get("failed"),
        expired_at=times.get("expired"),
        cancelling_at=times.get("cancelling"),
        cancelled_at=times.get("cancelled"),
        request_counts=RequestCounts(*counts),
        metadata=row.metadata,
        potluck_why=why or UNSET,
    )


def output_line(batch_id: str, at: int, custom_id: str, answer: LineAnswer) -> bytes:
    """Of an answer, whatever its status."""
    response = _Response(answer.status, answer.request_id, msgspec.Raw(answer.body))
    return _encode(OutputLine(_line_id(batch_id, at), custom_id, response, None)) + b"\n"


def unanswered_line(batch_id: str, at: int, custom_id: str, code: str, message: str) -> bytes:
    return _encode(OutputLine(_line_id(batch_id, at), custom_id, None, _LineError(code, message))) + b"\n"


def _line_id(batch_id: str, at: int) -> str:
    return f"batch_req_{batch_id.removeprefix('batch_')}_{at}"
