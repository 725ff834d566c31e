"""What the gateway may keep of answers, and how much: what cluster.yaml says, and the snapshot tells."""

from dataclasses import dataclass

DEFAULT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CacheRules:
    """`size_bytes` is of all answers and vectors together."""

    size_bytes: int = DEFAULT_BYTES
    vectors: bool = True  # of texts, whatever is said of answers


USUAL_CACHE = CacheRules()
