"""From measurements to tables and the RESULT line: predicted against measured, per cell, per item, and per peer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.fit.cells import Measurement
from bench.fit.memory import Usage
from bench.fit.peer_formulas import PEERS, Peer, PeerView
from cluster.fit import Need, Workload, need_of
from cluster.fit_engines import memory_of
from nodes.snapshot import EngineKind, MemoryItem, MemoryTerm

MIB = 1 << 20
ITEMS: tuple[tuple[MemoryTerm, ...], ...] = (
    ("weights",),
    ("kv cache",),
    ("recurrent state",),
    ("compute buffers",),
    ("weights", "kv cache", "recurrent state", "compute buffers"),
)

Predict = Callable[[Measurement], Need]


@dataclass(frozen=True, slots=True)
class Row:
    """One cell that was measured, and what was predicted for it without looking."""

    measurement: Measurement
    measured: Usage
    need: Need

    @property
    def kind(self) -> EngineKind:
        return self.measurement.cell.kind

    @property
    def error(self) -> float:
        return self.need.total_bytes / self.measured.total_bytes - 1

    def peer_error(self, peer: Peer) -> float | None:
        """None where the peer has no figure of its own."""
        measurement = self.measurement
        predicted = peer.predict(PeerView(measurement.cell, measurement.shape, measurement.artifact_bytes))
        return None if predicted is None else predicted / self.measured.total_bytes - 1

    def item_error(self, account: MemoryItem) -> float | None:
        """Against the engine's own figure; None where that is nothing, or so little that its rounding matters."""
        predicted = sum(self.need.of(term) for term in account.terms)
        if len(account.terms) > 1:  # all arrays of mlx-lm: caches of earlier prompts are among them
            predicted += self.need.of("kept prompts")
        return None if account.size_bytes < MIB // 4 else predicted / account.size_bytes - 1


def predicted(measurement: Measurement) -> Need:
    """A cell asks once: no caches have gathered but those of its own prompts."""
    cell = measurement.cell
    memory = memory_of(cell.kind, accelerated=False)
    once = replace(memory, kept_prompts=min(memory.kept_prompts, cell.slots))
    return need_of(Workload(cell.kind, measurement.shape, cell.context_tokens, cell.slots), once)


def rows_of(measurements: Iterable[Measurement], predict: Predict = predicted) -> tuple[Row, ...]:
    """Those that an engine could do."""
    return tuple(
        Row(one, _needed(one.peak, one.copied_bytes), predict(one)) for one in measurements if one.peak is not None
    )


def _needed(peak: Usage, copied_bytes: int) -> Usage:
    """Without pages of the file that nobody reads any more; of them, no more than there were."""
    gone = min(copied_bytes, peak.file_bytes)
    return Usage(peak.total_bytes - gone, peak.file_bytes - gone)


def cell_table(rows: Sequence[Row]) -> str:
    """Sizes in MiB. An error below zero is the dangerous one: less was predicted than was taken."""
    titles = ("model", "engine", "tokens", "at rest", "measured", "predicted", "error", *(peer.name for peer in PEERS))
    return _aligned([titles, *map(_cell_line, rows)], left=3)


def _cell_line(row: Row) -> tuple[str, ...]:
    measurement, cell = row.measurement, row.measurement.cell
    return (
        cell.model,
        cell.kind,
        f"{cell.slots} x {cell.context_tokens}",
        "-" if measurement.rest is None else _mib(measurement.rest.total_bytes),
        _mib(row.measured.total_bytes),
        _mib(row.need.total_bytes),
        _percent(row.error),
        *(_percent(row.peer_error(peer)) for peer in PEERS),
    )


def item_table(rows: Sequence[Row]) -> str:
    """Median and range of the error of each item that an engine has a figure of its own for."""
    lines = [("engine", "item", "cells", "median", "least", "most")]
    for kind in _kinds(rows):
        for terms in ITEMS:
            errors = _known(
                row.item_error(account)
                for row in rows
                for account in row.measurement.accounts
                if row.kind == kind and account.terms == terms
            )
            if errors:
                lines.append((kind, " + ".join(terms), *_spread(errors)))
    return _aligned(lines, left=2)


def peer_table(rows: Sequence[Row]) -> str:
    """Over the rows of the engine kinds that each project runs: it is asked nothing else."""
    lines = [("formula", "rows", "cells", "median", "least", "most", "median off")]
    for kind in _kinds(rows):
        ours = [row.error for row in rows if row.kind == kind]
        lines.append(("potluck", kind, *_spread(ours), _share(_median_off(ours))))
        for peer in PEERS:
            theirs = _known(row.peer_error(peer) for row in rows if row.kind == kind and kind in peer.engines)
            if theirs:
                lines.append((peer.name, kind, *_spread(theirs), _share(_median_off(theirs))))
    return _aligned(lines, left=2)


def failures(measurements: Iterable[Measurement]) -> str:
    return "\n".join(f"{one.cell}: {one.error}" for one in measurements if one.error is not None)


def result_line(rows: Sequence[Row]) -> str:
    """Of the rows of the table: those that calibrate are not among them."""
    errors = [row.error for row in rows]
    figures = {
        "shapes": str(len({row.measurement.cell.model for row in rows})),
        "cells": str(len(rows)),
        "median_error": _share(_median_off(errors)),
        "max_under_prediction": _share(max((-error for error in errors), default=None), floor=0.0),
    }
    return "RESULT fit " + " ".join(f"{name}={value}" for name, value in figures.items())


def _kinds(rows: Sequence[Row]) -> tuple[EngineKind, ...]:
    return tuple(sorted({row.kind for row in rows}))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spread(errors: Sequence[float]) -> tuple[str, str, str, str]:
    return str(len(errors)), _percent(median(errors)), _percent(min(errors)), _percent(max(errors))


def _median_off(errors: Sequence[float]) -> float | None:
    return median(map(abs, errors)) if errors else None


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"


def _share(value: float | None, floor: float = float("-inf")) -> str:
    return "unknown" if value is None else f"{max(floor, value):.1%}"


def _aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    """The first `left` columns are words, the others figures."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
