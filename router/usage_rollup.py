"""Usage by the hour: which records are summed under one key, and what is summed. Pure."""

from collections.abc import Sequence

import msgspec

from router.accounting import Outcome, RequestRecord

HOUR_S = 3600

UsageKey = tuple[int, str, str, str, str, str, str]
KEY_COLUMNS = ("hour_s", "tenant", "group_name", "key_id", "user", "model", "node_id")  # "" where there is none


class Sums(msgspec.Struct, frozen=True):
    """Of requests with one key. Tokens as far as they are known."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    cancelled: int = 0  # by clients that left
    inexact: int = 0  # begun by an engine that never came to count them
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_hits: int = 0  # answered as before, without an engine
    seconds: float = 0.0  # from arrival to end


SUM_COLUMNS = Sums.__struct_fields__

REFUSED: frozenset[Outcome] = frozenset({"client_error", "rate_limited", "no_capacity"})
FAILED: frozenset[Outcome] = frozenset({"node_lost", "timeout"})


def rolled_up(records: Sequence[RequestRecord]) -> dict[UsageKey, list[float]]:
    """What to add to the sums of each key, in the order of `Sums`."""
    sums: dict[UsageKey, list[float]] = {}
    for record in records:
        key = (
            int(record.arrived_wall_s // HOUR_S) * HOUR_S,
            record.tenant,
            record.group,
            record.key_id,
            record.user or "",
            record.model,
            record.node_id or "",
        )
        row = sums.get(key)
        if row is None:
            row = sums[key] = [0] * len(SUM_COLUMNS)
        _add(row, record)
    return sums


def _add(row: list[float], record: RequestRecord) -> None:
    outcome = record.outcome
    row[0] += 1
    if outcome != "ok":
        if outcome in REFUSED:
            row[1] += 1
        elif outcome in FAILED:
            row[2] += 1
        else:
            row[3] += 1
    if not record.tokens_exact and record.attempts and outcome not in REFUSED:
        row[4] += 1
    row[5] += record.input_tokens or 0
    row[6] += record.cached_tokens or 0
    row[7] += record.output_tokens or 0
    row[8] += record.reasoning_tokens or 0
    row[9] += record.cache_hit
    row[10] += record.duration_s
