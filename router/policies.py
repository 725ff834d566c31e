"""Rules by which others choose, for comparison and trust, each as terms whose sum is the lower the better.

They see only what they always saw: counts, a share of a cache. Chance is an argument, so that a record replays.
"""

from router.cost import Terms

CARD = (0.4, 0.3, 0.3)  # of model fit, memory headroom and queue depth
LARGE_CACHE_TOKENS = 500_000  # as good as any, to the card
UNDRAWN = 1e6  # more requests than any engine has
BITS = (1 << 64) - 1


def round_robin(turn: int, place: int, of: int) -> Terms:
    """How many are before it."""
    return (("turn", float((place - turn) % of)),)


def least_requests(in_flight: int) -> Terms:
    return (("requests", float(in_flight)),)


def power_of_two(in_flight: int, place: int, drawn: tuple[int, int]) -> Terms:
    """The less busy of two; of equals the first drawn."""
    draw = 0.0 if place == drawn[0] else 0.5 if place == drawn[1] else UNDRAWN
    return (("requests", float(in_flight)), ("draw", draw))


def weighted_sum(in_flight: int, cache_used: float, cache_tokens: int) -> Terms:
    """What is missing of the best card. Whoever gets here fits: the filters have seen to that."""
    fit, headroom, depth = CARD
    return (
        ("model_fit", fit * 0.0),
        ("headroom", headroom * (1.0 - headroom_of(cache_used, cache_tokens))),
        ("queue_depth", depth * (1.0 - depth_of(in_flight))),
    )


def headroom_of(cache_used: float, cache_tokens: int) -> float:
    """Free memory for its cache, of 1."""
    return (1.0 - cache_used) * min(cache_tokens / LARGE_CACHE_TOKENS, 1.0)


def depth_of(requests: int) -> float:
    """1 where nobody waits or runs."""
    return 1.0 / (1.0 + requests)


def draw(turn: int, of: int) -> tuple[int, int]:
    """Two different places of so many, as good as by chance, the same for the same turn."""
    if of < 2:
        return 0, 0
    first, second = divmod(_mixed(turn) % (of * (of - 1)), of - 1)
    return first, second + (second >= first)


def _mixed(number: int) -> int:
    """Every bit of the number counts for every bit of the result (splitmix64)."""
    number = (number + 1) * 0x9E3779B97F4A7C15 & BITS
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & BITS
    number = (number ^ number >> 27) * 0x94D049BB133111EB & BITS
    return number ^ number >> 31
