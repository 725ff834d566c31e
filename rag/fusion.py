"""One score of two that do not compare: by how a chunk stands among what else was found. Pure.

Relative-score fusion as Weaviate has it (HybridFusion.RELATIVE_SCORE): each list is stretched so that its best is 1 and
its worst 0, and the lists are added, weighted. A chunk that one list does not have gets 0 of it. On questions in one
language about texts in another, where words tell little, it is the only rule tried that is no worse than vectors alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ALPHA = 0.7  # the weight of vectors; of words the rest


@dataclass(frozen=True, slots=True)
class Fused:
    key: int
    score: float  # 0..1
    cosine: float | None
    bm25: float | None


def fuse(cosines: Mapping[int, float], bm25s: Mapping[int, float], alpha: float = ALPHA) -> tuple[Fused, ...]:
    """By score, the best first; equal ones by key, so that the same question finds the same."""
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
    dense, words = _stretched(cosines), _stretched(bm25s)
    found = [
        Fused(
            key,
            alpha * dense.get(key, 0.0) + (1.0 - alpha) * words.get(key, 0.0),
            cosines.get(key),
            bm25s.get(key),
        )
        for key in cosines.keys() | bm25s.keys()
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.key)))


def _stretched(scores: Mapping[int, float]) -> dict[int, float]:
    """Onto 0..1. What all have alike tells nothing apart, and counts in full, as it does in Weaviate."""
    if not scores:
        return {}
    least, most = min(scores.values()), max(scores.values())
    if most == least:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - least) / (most - least) for key, score in scores.items()}
