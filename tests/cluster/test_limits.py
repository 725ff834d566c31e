"""Limits as people write them: on the command line, in cluster.yaml, and what a key's own do to its group's."""

import pytest

from cluster.config_load import parse_config
from cluster.config_problems import ConfigError
from cluster.limits import NO_LIMITS, GroupLimits, LimitRules, Limits, parse_limits

YAML = """
version: 1
models: {toy: {source: packaged:smollm2}}
limits:
  timezone: Europe/Berlin
  each: { requests_per_minute: 30 }
  groups:
    class-7b:
      total: { tokens_per_day: 500k, hours: [mon-fri 08:00-16:00, sat 09:00-12:00] }
      each: { concurrency: 2, hours: mon-fri 08:00-16:00 }
"""


def test_the_configuration_becomes_rules() -> None:
    rules = parse_config(YAML, "cluster.yaml").config.limits.rules()

    total = Limits(tokens_per_day=500 * 1024, hours=("mon-fri 08:00-16:00", "sat 09:00-12:00"))
    each = Limits(concurrency=2, hours=("mon-fri 08:00-16:00",))
    groups = (("class-7b", GroupLimits(total, each)),)
    assert rules == LimitRules("Europe/Berlin", Limits(requests_per_minute=30), groups)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("timezone: Mars/Olympus", "no time zone"),
        ("each: { hours: weekdays }", "no hours of the week"),
        ("each: { hours: [] }", "at least 1"),
        ("each: { concurrency: 0 }", "greater than or equal to 1"),
        ("each: { requests: 3 }", "requests"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(wrong: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"version: 1\nmodels: {{}}\nlimits:\n  {wrong}\n", "cluster.yaml")
    assert said in str(caught.value)
    assert "4" in str(caught.value)


def test_a_command_line_says_limits_one_by_one() -> None:
    texts = ["requests_per_minute=60", "hours=mon 08:00-09:00", "hours=tue 08:00-09:00", "concurrency=2"]
    assert parse_limits(texts) == Limits(
        requests_per_minute=60, concurrency=2, hours=("mon 08:00-09:00", "tue 08:00-09:00")
    )
    assert parse_limits([]) == NO_LIMITS


@pytest.mark.parametrize(
    "text", ["rpm=3", "concurrency", "concurrency=0", "concurrency=-1", "concurrency=1.5", "hours=x"]
)
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"limit|hours"):
        parse_limits([text])


def test_what_a_key_has_of_its_own_comes_first_and_the_rest_is_its_groups() -> None:
    own, group = Limits(concurrency=5), Limits(concurrency=1, tokens_per_day=9)
    assert own.or_else(group) == Limits(concurrency=5, tokens_per_day=9)
