"""How long answers of a kind are on average. Their mean is as good for routing as their true length, by simulation."""

from collections import OrderedDict
from collections.abc import Hashable

TYPICAL_TOKENS = 256.0  # until anything was seen
PRIOR_SAMPLES = 4.0  # so many typical answers are believed to have been seen before
MEMORY_SAMPLES = 200.0
MOST_KINDS = 4096
UNSEEN = TYPICAL_TOKENS, PRIOR_SAMPLES


class OutputMeans:
    """By kind: whatever the caller finds telling, such as model, key and whether tools are offered."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # mean, samples

    def expected(self, kind: Hashable, limit: int | None = None) -> float:
        mean = self._kinds.get(kind, UNSEEN)[0]
        return mean if limit is None or mean < limit else float(limit)

    def ended(self, kind: Hashable, output_tokens: int) -> None:
        mean, samples = self._kinds.get(kind, UNSEEN)
        if samples < MEMORY_SAMPLES:
            samples += 1.0
        self._kinds[kind] = mean + (output_tokens - mean) / samples, samples
        self._kinds.move_to_end(kind)
        if len(self._kinds) > MOST_KINDS:
            self._kinds.popitem(last=False)
