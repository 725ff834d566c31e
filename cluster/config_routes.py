"""The section `routes` of cluster.yaml: names behind which rules choose a model for each request."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from cluster.config_section import Section
from cluster.config_values import ConfiguredName, PublicName, Tokens
from cluster.routes import NamedRoute, RouteRule
from inventory.catalog import ModelName

_WORD = re.compile(r"\w[^*\n]{0,63}\*?")


def _word(text: str) -> str:
    plain = " ".join(text.lower().split())
    if _WORD.fullmatch(plain) is None:
        raise ValueError(f"{text!r} is no word; write `patient`, `blood pressure`, or `diabet*` for what begins so")
    return plain


Word = Annotated[str, AfterValidator(_word)]


class RuleSection(Section):
    """What of it is set must all hold."""

    domain: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """What the rule is about, for those who read why a model was chosen: healthcare, education, code."""
    words: tuple[Word, ...] = ()
    """Words in the user's messages, in any case. `diabet*` stands for every word that begins so."""
    least: int = Field(default=1, ge=1)
    """How many different ones of the words there must be."""
    groups: tuple[PublicName, ...] = ()
    """Groups of the key that asks."""
    longer_than: Tokens | None = None
    """Prompts of more than about so many tokens."""
    model: ConfiguredName

    @model_validator(mode="after")
    def _that_says_something(self) -> "RuleSection":
        if not (self.words or self.groups or self.longer_than):
            raise ValueError("needs `words`, `groups` or `longer_than`; what holds always is `otherwise`")
        if self.words and self.least > len(set(self.words)):
            raise ValueError(f"`least: {self.least}` is more than there are words")
        return self


class RouteSection(Section):
    """A name that clients ask for as for a model. The first rule that holds chooses."""

    rules: tuple[RuleSection, ...] = Field(min_length=1)
    otherwise: ConfiguredName
    """The model when no rule holds."""

    def route(self, name: str) -> NamedRoute:
        rules = tuple(
            RouteRule(one.domain, ModelName(one.model), one.words, one.least, one.groups, one.longer_than)
            for one in self.rules
        )
        return NamedRoute(name, rules, ModelName(self.otherwise))
