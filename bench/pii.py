"""How well personal data is found, and how fast: `make bench-pii`. Nothing is started, nothing leaves this process.

The texts are those of tests/data/pii: `tuning`, which recognisers were tuned on, `held_out`, whose templates were not
looked at meanwhile, and `hard`, in which there is nothing to find. The last line counts all of them.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from cluster.pii.scan import scan
from support.pii_scores import PARTS, Labelled, Scores, labelled, scores

LEAST_RECALL, LEAST_PRECISION, MOST_MS_PER_KB = 0.99, 0.95, 1.0
ROUNDS = 30
LONG = 100_000  # characters, as a document may have


def main() -> int:
    parts = {part: labelled(part) for part in PARTS}
    every = [one for texts in parts.values() for one in texts]
    for part, texts in parts.items():
        _print(part, texts, scores(texts, scan))
    whole = scores(every, scan)
    for kind, expected in sorted(whole.expected.items()):
        wrongly = whole.reported[kind] - whole.right[kind]
        print(f"  {kind:16} {whole.found[kind]:5} of {expected:5} found, {wrongly} wrongly")
    short_ms, long_ms = _ms_per_kb([one.text for one in every]), _ms_per_kb(_joined(every))
    print(f"as they are {short_ms:.3f} ms/kB; as one long document {long_ms:.3f} ms/kB")
    slowest = max(short_ms, long_ms)
    print(f"RESULT pii recall={whole.recall:.4f} precision={whole.precision:.4f} ms_per_kb={slowest:.3f}")
    good = whole.recall >= LEAST_RECALL and whole.precision >= LEAST_PRECISION
    return 0 if good and slowest <= MOST_MS_PER_KB else 1


def _print(part: str, texts: Sequence[Labelled], told: Scores) -> None:
    found = (
        f"recall {told.recall:.4f}, precision {told.precision:.4f}" if told.expected else f"{len(told.wrong)} wrongly"
    )
    print(f"{part}: {len(texts)} texts, {told.expected.total()} values: {found}")


def _joined(texts: Sequence[Labelled]) -> list[str]:
    once = "\n\n".join(one.text for one in texts)
    return [(once * (1 + LONG // len(once)))[:LONG]]


def _ms_per_kb(texts: Sequence[str]) -> float:
    """Of processor time, in the best of several rounds: others may use this machine."""
    size_kb = sum(len(text.encode()) for text in texts) / 1000
    best_s = float("inf")
    for _ in range(ROUNDS):
        started_s = time.process_time()
        for text in texts:
            scan(text)
        best_s = min(best_s, time.process_time() - started_s)
    return best_s * 1000 / size_kb


if __name__ == "__main__":
    sys.exit(main())
