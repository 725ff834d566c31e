"""`python -m bench.fit`: predict what engines need, then measure what they take with every context really filled."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs

from bench.fit import report
from bench.fit.cells import Cell, Measurement
from bench.fit.engine import GRACE_S, Bed, Subject
from bench.fit.measure import measure, shape_at
from bench.fit.models import BenchModel, ModelBuildError, ensure_models
from bench.fit.results import Results
from bench.fit.variants import SMOLLM2
from inventory.catalog import ModelShape
from inventory.store_files import try_hold
from nodes.engine_builds import KINDS
from nodes.leases import reap
from nodes.snapshot import EngineKind

# Of each request. On a CPU mlx-lm evaluates some 30 tokens of a small model a second, vLLM some 100: shorter ones.
CONTEXTS: dict[EngineKind, tuple[int, ...]] = {
    "llamacpp": (512, 1024, 4096),
    "mlx": (256, 512, 768),
    "vllm": (512, 1024, 2048),
}
SLOTS = 2


class CannotRunError(Exception):
    """The bench cannot begin. Its entry prints it and exits 1."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fit", description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="default: all")
    parser.add_argument("--contexts", nargs="+", type=int, metavar="TOKENS", help="default: three of each engine kind")
    parser.add_argument("--slots", type=int, default=SLOTS, help=f"requests at once (default: {SLOTS})")
    parser.add_argument("--quick", action="store_true", help="SmolLM2 at one small context: shows that all works")
    parser.add_argument("--fresh", action="store_true", help="measure again what an earlier run has measured")
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=platformdirs.user_cache_path("potluck") / "bench-fit",
        help="where models, the engines' own caches and the measurements are kept",
    )
    return parser.parse_args()


def cells(model: BenchModel, kind: EngineKind, shape: ModelShape, contexts: Sequence[int], slots: int) -> list[Cell]:
    """A context that the model was not trained for becomes the longest that it was."""
    possible = dict.fromkeys(min(context, shape.context_length or context) for context in contexts)
    return [Cell(model.name, kind, context, slots) for context in possible]


def measured(options: argparse.Namespace, models: Sequence[BenchModel], bed: Bed) -> Iterator[Measurement]:
    results = Results(options.cache_dir / "measurements.jsonl")
    for kind in options.engines:
        environment = bed.environment(kind)
        if environment is None:
            print(f"{kind} is not installed in {bed.paths.engines}: left out", file=sys.stderr)
            continue
        for model in models:
            path = model.folders.get(kind)
            if path is None:
                continue
            shape = shape_at(path)
            for cell in cells(model, kind, shape, options.contexts or CONTEXTS[kind], options.slots):
                found = None if options.fresh else results.get((cell, path.name, environment.version))
                if found is None:
                    found = asyncio.run(measure(bed, Subject(cell, path, shape, environment)))
                    results.add(found)
                    print(f"{found.seconds:4.0f} s  {cell}{': ' + found.error if found.error else ''}", file=sys.stderr)
                yield found


def run(options: argparse.Namespace) -> None:
    cache: Path = options.cache_dir.absolute()
    options.cache_dir = cache
    if options.quick:
        options.models, options.contexts = [SMOLLM2], [256]
    bed = Bed.at(cache / "state")
    held = try_hold(cache / ".measuring")
    if held is None:
        raise CannotRunError(f"another run measures in {cache}")
    try:
        reap(bed.paths.leases, GRACE_S)  # an engine of a run that was killed
        models = ensure_models(cache, bed.paths.engines, options.models)
        found = list(measured(options, models, bed))
    finally:
        os.close(held)
    show(found, frozenset(model.name for model in models if model.calibrates))


def show(found: Sequence[Measurement], calibrating: frozenset[str]) -> None:
    rows = report.rows_of(one for one in found if one.cell.model not in calibrating)
    outside = report.rows_of(one for one in found if one.cell.model in calibrating)
    parts = [
        ("Predicted and measured", report.cell_table(rows)),
        ("Calibration: outside the table and the result", report.cell_table(outside) if outside else ""),
        ("By item, against the engine's own figures", report.item_table(rows)),
        ("By formula", report.peer_table(rows)),
        ("What an engine could not do, in its own words", report.failures(found)),
    ]
    for title, text in parts:
        if text:
            print(f"{title}\n{text}\n")
    print(report.result_line(rows))


def main() -> int:
    # However it is ended, it ends its engine. SIGTERM would not, and a shell starts its background jobs deaf to SIGINT;
    # asyncio takes SIGINT for a request to cancel, but only where Python's own handler is in place.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        run(arguments())
    except (CannotRunError, ModelBuildError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended; the same command goes on where this run was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
