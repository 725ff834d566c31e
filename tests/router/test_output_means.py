"""How long an answer is expected to be."""

from router.output_means import TYPICAL_TOKENS, OutputMeans


def test_a_kind_that_was_never_seen_is_typical_and_no_longer_than_its_limit() -> None:
    assert OutputMeans().expected("chat") == TYPICAL_TOKENS
    assert OutputMeans().expected("chat", 10) == 10.0


def test_each_kind_has_a_mean_of_its_own() -> None:
    means = OutputMeans()
    for _ in range(100):
        means.ended("short", 10)
        means.ended("long", 2000)

    assert means.expected("short") < 25
    assert means.expected("long") > 1900
