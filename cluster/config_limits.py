"""The section `limits` of cluster.yaml: how much each key, each user and each group may ask for."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from cluster.config_section import Section
from cluster.config_values import PublicName, Tokens
from cluster.hours import HOURS_PATTERN, parse_hours
from cluster.limits import GroupLimits, LimitRules, Limits


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _hours(text: str) -> str:
    parse_hours(text)
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone that this machine knows; write one like Europe/Berlin") from None
    return name


PRIORITIES = {"low": -1, "normal": 0, "high": 1}
_ONE: dict[str, object] = {"type": "string", "pattern": HOURS_PATTERN, "examples": ["mon-fri 08:00-16:00"]}
Hours = Annotated[
    tuple[Annotated[str, AfterValidator(_hours)], ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]}),
]
Zone = Annotated[str, AfterValidator(_zone)]


class LimitsSection(Section):
    """How much may be asked for. What is absent has no limit."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    """Requests in any 60 seconds."""
    requests_per_day: int | None = Field(default=None, ge=1)
    """Requests from midnight to midnight."""
    tokens_per_minute: Tokens | None = None
    """Tokens in any 60 seconds, prompts and answers together. An answer that has begun is finished."""
    tokens_per_day: Tokens | None = None
    """Tokens from midnight to midnight."""
    concurrency: int | None = Field(default=None, ge=1)
    """Requests at a time."""
    hours: Hours | None = Field(default=None, min_length=1)
    """When requests are taken, such as `mon-fri 08:00-16:00`, or a list of such."""

    def values(self) -> Limits:
        return Limits(**dict(self))


class GroupSection(Section):
    total: LimitsSection = LimitsSection()
    """Of the whole group together."""
    each: LimitsSection = LimitsSection()
    """Of each key in it; of each user, where a front end or an issuer of tokens names its users."""
    priority: Literal["low", "normal", "high"] = "normal"
    """Where requests wait, those of a higher priority go first, and those of one priority by what their users had."""

    def values(self) -> GroupLimits:
        return GroupLimits(self.total.values(), self.each.values(), PRIORITIES[self.priority])


class LimitRulesSection(Section):
    """How much each key and each group may ask for. A key's own limits come first, then its group's `each`, then the
    `each` of all. The owner's key has none."""

    timezone: Zone | None = None
    """Whose midnights and hours: Europe/Berlin. Absent: those of the gateway's machine."""
    each: LimitsSection = LimitsSection()
    """Of each key, or user, for whom nothing else is said."""
    groups: dict[PublicName, GroupSection] = {}
    """By the group's name; see `potluck keys create --group`."""

    def rules(self) -> LimitRules:
        groups = sorted(self.groups.items())
        return LimitRules(
            self.timezone or "", self.each.values(), tuple((name, group.values()) for name, group in groups)
        )
