"""How many tokens so many characters or events of a model come to, learnt from what its engines counted. Pure."""

from collections.abc import Hashable
from dataclasses import dataclass, field

MOST_KEYS = 256
MEMORY = 256  # priors: beyond that what was seen is halved before more is added, so that the old fades


class TokenRatio:
    """Tokens by amount, one ratio for each key. A key that was never seen has the typical ratio."""

    def __init__(self, typical: float, least: float, most: float, prior_amount: int) -> None:
        """`prior_amount` is how much of the typical is believed to have been seen before anything was."""
        self._least, self._most = least, most
        self._prior = (float(prior_amount), prior_amount * typical)
        self._enough = float(prior_amount * MEMORY)
        self._sums: dict[Hashable, tuple[float, float]] = {}  # amount, tokens

    def tokens_of(self, key: Hashable, amount: int) -> int:
        """At least 1 of anything, and 0 of nothing."""
        if amount <= 0:
            return 0
        known, tokens = self._sums.get(key, self._prior)
        ratio = tokens / known
        if not self._least <= ratio <= self._most:
            ratio = min(max(ratio, self._least), self._most)
        return round(amount * ratio) or 1

    def learn(self, key: Hashable, amount: int, tokens: int) -> None:
        """This much of it was so many tokens, by an engine's count."""
        if amount <= 0 or tokens <= 0:
            return
        known, counted = self._sums.pop(key, self._prior)  # put back as the youngest
        if known > self._enough:
            known, counted = known / 2, counted / 2
        if len(self._sums) >= MOST_KEYS:
            del self._sums[next(iter(self._sums))]
        self._sums[key] = known + amount, counted + tokens


def prompt_ratio() -> TokenRatio:
    """By model, of characters of a prompt: a quarter, until something was seen."""
    return TokenRatio(typical=0.25, least=1 / 16, most=4.0, prior_amount=400)


def event_ratio() -> TokenRatio:
    """By engine, of events of a stream: one each. More where a token is part of a character, or where an engine that
    runs ahead of its own sending puts several into one event."""
    return TokenRatio(typical=1.0, least=1.0, most=64.0, prior_amount=64)


@dataclass(frozen=True, slots=True)
class TokenRatios:
    """What a gateway has learnt. `tokens_of` and `learn` of `prompts` take a model and characters."""

    prompts: TokenRatio = field(default_factory=prompt_ratio)
    events: TokenRatio = field(default_factory=event_ratio)
