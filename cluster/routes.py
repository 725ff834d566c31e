"""Names behind which rules choose a model, as configuration, snapshot and gateway share them."""

from dataclasses import dataclass

from inventory.catalog import ModelName


@dataclass(frozen=True, slots=True)
class RouteRule:
    """All that is set must hold. `words` are whole words in lower case, `diabet*` begins one."""

    domain: str  # what the operator calls it: healthcare, education
    model: ModelName
    words: tuple[str, ...] = ()
    least: int = 1  # of the words, different ones
    groups: tuple[str, ...] = ()  # of the key that asks
    longer_than_tokens: int | None = None  # the prompt


@dataclass(frozen=True, slots=True)
class NamedRoute:
    """The first rule that holds chooses."""

    name: str
    rules: tuple[RouteRule, ...]
    otherwise: ModelName
