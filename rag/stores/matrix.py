"""The vectors of one space in memory, as they are scanned: all of them, each time, so that nothing is missed."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.values import Vectors

STORED = np.dtype("<f2")
SEGMENTS = 16  # joined when there are more: each write adds one, and each is scanned by itself

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segment:
    """`chunk_rows` [n] ascending, `version_rows` [n], `vectors` [n, dimensions]."""

    chunk_rows: Rows
    version_rows: Rows
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Matrix:
    """As of one revision of its space. `removals` counts what was taken away since the space was made."""

    revision: int
    removals: int
    segments: tuple[Segment, ...]

    @property
    def last_row(self) -> int:
        return int(self.segments[-1].chunk_rows[-1]) if self.segments else 0

    @property
    def size_bytes(self) -> int:
        return sum(one.vectors.nbytes + one.chunk_rows.nbytes + one.version_rows.nbytes for one in self.segments)

    def grown(self, revision: int, segment: Segment | None) -> "Matrix":
        segments = self.segments if segment is None else (*self.segments, segment)
        return Matrix(revision, self.removals, segments if len(segments) <= SEGMENTS else (_joined(segments),))

    def nearest(self, vector: npt.NDArray[np.float32], versions: Iterable[int], limit: int) -> dict[int, float]:
        """Cosines of the `limit` nearest chunks of these versions, by row."""
        if not self.segments:
            return {}
        wanted = np.zeros(max(int(one.version_rows.max()) for one in self.segments) + 1, dtype=bool)
        wanted[[version for version in versions if version < len(wanted)]] = True
        best: list[tuple[float, int]] = []
        for segment in self.segments:
            cosines = segment.vectors @ vector
            cosines[~wanted[segment.version_rows]] = -np.inf
            at = _largest(cosines, limit)
            best += zip(cosines[at].tolist(), segment.chunk_rows[at].tolist(), strict=True)
        best.sort(key=lambda one: (-one[0], one[1]))
        return {row: cosine for cosine, row in best[:limit] if cosine > -np.inf}

    def cosines(self, vector: npt.NDArray[np.float32], chunk_rows: Collection[int]) -> dict[int, float]:
        """Of these chunks."""
        wanted, found = np.array(sorted(chunk_rows), dtype=np.int64), dict[int, float]()
        for segment in self.segments:
            at = np.searchsorted(segment.chunk_rows, wanted)
            at = at[at < len(segment.chunk_rows)]
            at = at[np.isin(segment.chunk_rows[at], wanted)]
            found |= zip(segment.chunk_rows[at].tolist(), (segment.vectors[at] @ vector).tolist(), strict=True)
        return found


def segment_of(rows: Sequence[tuple[int, int, bytes]], dimensions: int) -> Segment | None:
    """From rows of the table: chunk, version, vector."""
    if not rows:
        return None
    vectors = np.frombuffer(b"".join(blob for _, _, blob in rows), dtype=STORED).reshape(-1, dimensions)
    return Segment(
        np.fromiter((chunk for chunk, _, _ in rows), dtype=np.int64, count=len(rows)),
        np.fromiter((version for _, version, _ in rows), dtype=np.int64, count=len(rows)),
        vectors.astype(np.float32),
    )


def _joined(segments: Sequence[Segment]) -> Segment:
    return Segment(
        np.concatenate([one.chunk_rows for one in segments]),
        np.concatenate([one.version_rows for one in segments]),
        np.concatenate([one.vectors for one in segments]),
    )


def _largest(values: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(values, len(values) - count)[len(values) - count :]
