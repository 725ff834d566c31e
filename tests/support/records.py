"""Request records for tests of what is kept of them: one that ended well, and whatever a test says otherwise."""

from pathlib import Path

from router.accounting import RequestRecord
from router.telemetry import TelemetryWriter
from support.manual_clock import ManualClock

ARRIVED_S = 1_800_000_000.0  # a full hour, UTC


def a_record(number: int = 0, **otherwise: object) -> RequestRecord:
    facts: dict[str, object] = {
        "version": 1, "request_id": f"req_{number}", "client_request_id": None, "api": "chat", "tenant": "home",
        "key_id": "k", "group": "g", "data_class": "private", "priority": 0, "model_asked": "toy", "model": "toy",
        "stream": True, "arrived_wall_s": ARRIVED_S, "duration_s": 1.0, "status": 200, "outcome": "ok",
        "error_code": None, "node_id": "here", "attempts": 1, "input_tokens": 10, "output_tokens": 3,
        "tokens_exact": True,
    }  # fmt: skip
    return RequestRecord(**{**facts, **otherwise})  # type: ignore[arg-type]  # tests name its fields


def written(path: Path, *records: RequestRecord) -> Path:
    """A telemetry.db with these, as a gateway leaves it."""
    writer = TelemetryWriter(path, ManualClock())
    writer.record(records)
    writer.close()
    return path
