"""What was asked and what it took, as `potluck usage` sums it, for the dashboard."""

from pathlib import Path
from typing import get_args

import msgspec

from inventory.secret_files import ExposedSecretError
from router.errors import ApiError, invalid
from router.telemetry_schema import TelemetryVersionError
from router.usage_query import (
    Dimension,
    NoUsageError,
    UsageQuery,
    UsageUnreadableError,
    read_usage,
    total_of,
)
from router.usage_rollup import HOUR_S, Sums


class UsageLine(msgspec.Struct, frozen=True):
    """`of`: the value of each dimension that was asked for, where there is one."""

    of: dict[str, str]
    sums: Sums


class UsageBook(msgspec.Struct, frozen=True):
    """Whole hours from `since` to `until`, in wall time. Times come in order, else the most tokens first."""

    by: tuple[str, ...]
    since: float
    until: float
    rows: tuple[UsageLine, ...]
    total: Sums


def dimensions(by: str) -> tuple[Dimension, ...]:
    """Raises ApiError 400."""
    known: tuple[Dimension, ...] = get_args(Dimension)
    words = by.split(",")
    found = tuple(one for word in words for one in known if one == word)
    if len(found) < len(words) or len(set(found)) < len(found):
        raise invalid(f"`by` names each once, of {', '.join(known)}", "by")
    return found


def usage_book(path: Path, query: UsageQuery) -> UsageBook:
    """Nothing before the first request. Raises ApiError 503 where it cannot be read."""
    try:
        rows = read_usage(path, query)
    except NoUsageError:
        rows = []
    except (UsageUnreadableError, ExposedSecretError, TelemetryVersionError) as error:
        raise ApiError(503, "records_unreadable", f"what was recorded cannot be read: {error}") from error
    lines = tuple(
        UsageLine({name: value for name, value in zip(query.by, row.of, strict=True) if value}, row.sums)
        for row in rows
    )
    return UsageBook(query.by, query.since_s // HOUR_S * HOUR_S, query.until_s, lines, total_of(rows))
