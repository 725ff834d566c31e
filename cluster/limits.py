"""How much a key, or a group of keys, may ask for: values that configuration, registry and gateway share."""

from dataclasses import dataclass, fields, replace

from cluster.hours import parse_hours


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit of that kind. Tokens are those of prompt and answer together."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrency: int | None = None  # requests at a time, those that wait for a model included
    hours: tuple[str, ...] | None = None  # of the week, as cluster.hours reads them; outside of them nothing

    def or_else(self, other: "Limits") -> "Limits":
        """Each that is not set here, as the other has it."""
        missing = {name: getattr(other, name) for name in NAMES if getattr(self, name) is None}
        return replace(self, **missing) if missing else self


NAMES: tuple[str, ...] = tuple(field.name for field in fields(Limits))
NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """`total` is for the group as a whole, `each` for every one in it. The higher priority never waits for a lower."""

    total: Limits = NO_LIMITS
    each: Limits = NO_LIMITS
    priority: int = 0


@dataclass(frozen=True, slots=True)
class LimitRules:
    """What cluster.yaml says. A day is one of `timezone`; "" is that of the gateway's machine."""

    timezone: str = ""
    each: Limits = NO_LIMITS
    groups: tuple[tuple[str, GroupLimits], ...] = ()  # by name, sorted


NO_RULES = LimitRules()


def parse_limits(texts: list[str]) -> Limits:
    """ "requests_per_minute=60", "hours=mon-fri 08:00-16:00": the last of a number counts, hours add up.
    Raises ValueError."""
    numbers: dict[str, int] = {}
    hours: list[str] = []
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or name not in NAMES:
            raise ValueError(f"{text!r} is no limit; write NAME=VALUE with one of {', '.join(NAMES)}")
        if name == "hours":
            parse_hours(value)
            hours.append(value.strip())
        elif not value.isascii() or not value.isdecimal() or int(value) < 1:
            raise ValueError(f"{text!r}: a limit is a whole number of at least 1")
        else:
            numbers[name] = int(value)
    return Limits(**numbers, hours=tuple(hours) or None)
