import pytest

from cluster.units import parse_bytes, parse_duration_s, parse_tokens
from inventory.sizes import format_bytes


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("72GiB", 72 * 2**30), ("512MiB", 512 * 2**20), ("4GB", 4 * 10**9), ("1.5 TiB", 3 * 2**39), ("10B", 10)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


def test_a_size_with_an_ambiguous_unit_is_refused_with_the_likely_one() -> None:
    with pytest.raises(ValueError, match="did you mean 4GiB"):
        parse_bytes("4G")


@pytest.mark.parametrize("value", [4096, "4096", "", "GiB", None, "-1GiB", True, "1e3GiB"])
def test_a_bare_number_or_anything_else_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"not a size|needs a unit|no known unit"):
        parse_bytes(value)


@pytest.mark.parametrize(("value", "tokens"), [("32k", 32768), (2048, 2048), ("2048", 2048), ("1.5k", 1536)])
def test_context_is_counted_in_tokens_and_k_is_1024(value: object, tokens: int) -> None:
    assert parse_tokens(value) == tokens


@pytest.mark.parametrize("value", [0, -1, True, "0k", "k", "8K", "32 k", 1.5, None, []])
def test_what_is_no_number_of_tokens_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a number of tokens"):
        parse_tokens(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("2d", 172800.0)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [10, "10", "", "s", "10 minutes", "0s", None, "-1s"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration_s(value)


def test_sizes_are_shown_in_the_largest_unit_that_leaves_one() -> None:
    assert [format_bytes(size) for size in (0, 1023, 1536, 98_362_432, 123 * 2**30, 2**41)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "93.8 MiB",
        "123.0 GiB",
        "2.0 TiB",
    ]
