"""Recorded requests: Mooncake's JSON lines, Azure's CSV, or sessions in a format of our own (docs/bench-routing.md)."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from random import Random

import msgspec

from bench.routing.load import Session, Turn, Workload
from bench.routing.workloads import NOISE

MOONCAKE_BLOCK = 512
MOONCAKE_TICK_S = 3.0
MODEL = "30b"


@dataclass(frozen=True, slots=True)
class Known:
    """A published trace, and how much slower it comes to a home than to a data centre."""

    name: str
    file: str
    stretch: float


KNOWN = (
    Known("mooncake", "mooncake_conversation_first_half.jsonl", 14.0),
    Known("azure_conv", "azure2023_conv_first_half.csv", 2.2),
    Known("azure_code", "azure2023_code_first_half.csv", 6.0),
)


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request of the format of our own. Rows of one session follow each other, `after_s` after the answer before."""

    prompt_tokens: int
    output_tokens: int
    at_s: float = 0.0  # of a session's first request
    after_s: float = 0.0
    model: str = MODEL
    kind: str = "trace"
    session: str | None = None
    named: bool = True  # the client tells the gateway its session
    user: str = "user"
    blocks: tuple[int, ...] = ()  # whole blocks of the prompt, each standing for all before it


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of the format of our own."""

    potluck_trace: int  # version: 1
    block_tokens: int = 256


def window(sessions: Sequence[Session], number: int, of: int) -> tuple[Session, ...]:
    """One of several parts of a trace, from its own beginning."""
    part = sessions[len(sessions) * number // of : len(sessions) * (number + 1) // of]
    return tuple(replace(session, start_s=session.start_s - part[0].start_s) for session in part)


def known_trace(known: Known, folder: Path, seed: int, windows: int = 3) -> Workload:
    """A window of it: the seed says which."""
    workload = read_trace(folder / known.file, seed, known.stretch)
    return replace(workload, name=known.name, sessions=window(workload.sessions, seed % windows, windows))


def read_trace(path: Path, seed: int, stretch: float = 1.0) -> Workload:
    """Raises OSError, ValueError or msgspec.ValidationError where it is none of the three formats."""
    note = f"{path.name}, {stretch:g} times slower" if stretch != 1.0 else path.name
    if path.suffix == ".csv":
        with path.open(newline="") as rows_of_csv:
            return Workload(path.stem, _azure(csv.DictReader(rows_of_csv), seed, stretch), 256, note)
    lines = path.read_bytes().splitlines()
    if b"potluck_trace" in lines[0]:
        size = msgspec.json.decode(lines[0], type=Header).block_tokens
        rows = [msgspec.json.decode(line, type=Row) for line in lines[1:] if line.strip()]
        return Workload(path.stem, _own(rows, size, seed, stretch), size, note)
    recorded = [msgspec.json.decode(line, type=_Mooncake) for line in lines if line.strip()]
    return Workload(path.stem, _mooncake(recorded, seed, stretch), MOONCAKE_BLOCK, note)


class _Mooncake(msgspec.Struct, frozen=True):
    timestamp: int
    input_length: int
    output_length: int
    hash_ids: tuple[int, ...]


def _mooncake(rows: Iterable[_Mooncake], seed: int, stretch: float) -> tuple[Session, ...]:
    random, fresh = Random(seed), count(-1, -1)
    sessions = []
    for row in rows:
        at_s = (row.timestamp / 1000 + random.uniform(0, MOONCAKE_TICK_S)) * stretch
        chain = row.hash_ids[: row.input_length // MOONCAKE_BLOCK]
        sessions.append(_alone(at_s, (row.input_length, row.output_length), chain, random, (MOONCAKE_BLOCK, fresh)))
    return tuple(sorted(sessions, key=lambda session: session.start_s))


def _azure(rows: Iterable[dict[str, str]], seed: int, stretch: float) -> tuple[Session, ...]:
    random, fresh = Random(seed), count(-1, -1)
    sessions, first = [], None
    for row in rows:
        at = datetime.fromisoformat(row["TIMESTAMP"][:26])
        first = first or at
        tokens = (int(row["ContextTokens"]), int(row["GeneratedTokens"]))
        at_s = (at - first).total_seconds() * stretch
        chain = tuple(next(fresh) for _ in range(tokens[0] // 256))
        sessions.append(_alone(at_s, tokens, chain, random, (256, fresh)))
    return tuple(sorted(sessions, key=lambda session: session.start_s))


def _alone(
    at_s: float, tokens: tuple[int, int], chain: tuple[int, ...], random: Random, blocks: tuple[int, Iterable[int]]
) -> Session:
    turn = _turn(tokens, chain, 0.0, random, blocks)
    return Session(at_s, MODEL, "trace", (turn,))


def _turn(
    tokens: tuple[int, int], chain: tuple[int, ...], after_s: float, random: Random, blocks: tuple[int, Iterable[int]]
) -> Turn:
    prompt, output = max(tokens[0], 1), max(tokens[1], 1)
    block_tokens, fresh = blocks
    missing = (prompt + output) // block_tokens - len(chain)
    whole = chain + tuple(number for number, _ in zip(fresh, range(missing), strict=False)) if missing > 0 else chain
    return Turn(prompt, output, chain, whole, after_s, random.lognormvariate(0.0, NOISE))


def _own(rows: Iterable[Row], block_tokens: int, seed: int, stretch: float) -> tuple[Session, ...]:
    random, fresh = Random(seed), count(-1, -1)
    turns: dict[str, list[Turn]] = {}
    firsts: dict[str, Row] = {}
    for number, row in enumerate(rows):
        name = row.session if row.session is not None else f"row {number}"
        firsts.setdefault(name, row)
        tokens = (row.prompt_tokens, row.output_tokens)
        turns.setdefault(name, []).append(_turn(tokens, row.blocks, row.after_s, random, (block_tokens, fresh)))
    sessions = (
        Session(first.at_s * stretch, first.model, first.kind, tuple(turns[name]),
                name if first.session is not None and first.named else None, first.user)
        for name, first in firsts.items()
    )  # fmt: skip
    return tuple(sorted(sessions, key=lambda session: session.start_s))
