"""Moments as people name them."""

from datetime import UTC, datetime

import pytest

from cluster.moments import DAY_S, NoMomentError, moment_of

NOW_S = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-11-12T10:00", datetime(2026, 11, 12, 10, tzinfo=UTC)),
        ("2026-11-12 10:00:30", datetime(2026, 11, 12, 10, 0, 30, tzinfo=UTC)),
        ("2026-11-12T10:00+01:00", datetime(2026, 11, 12, 9, tzinfo=UTC)),
        ("2026-11-12t10:00z", datetime(2026, 11, 12, 10, tzinfo=UTC)),
        ("Last  Week", datetime(2026, 11, 16, 12, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("3 days ago", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("1 hour ago", datetime(2026, 11, 23, 11, tzinfo=UTC)),
        ("now", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("1762941600", datetime.fromtimestamp(1762941600, UTC)),
        (1762941600.5, datetime.fromtimestamp(1762941600.5, UTC)),
    ],
)
def test_it_is_the_moment_that_is_meant(said: str | float, at: datetime) -> None:
    assert moment_of(said, NOW_S) == pytest.approx(at.timestamp())


def test_a_day_means_its_end() -> None:
    noon, next_day = datetime(2026, 11, 12, 12, tzinfo=UTC), datetime(2026, 11, 13, tzinfo=UTC)
    assert noon.timestamp() < moment_of("2026-11-12", NOW_S) < next_day.timestamp()
    assert next_day.timestamp() - moment_of("2026-11-12", NOW_S) < DAY_S


@pytest.mark.parametrize(
    "said", ["", "soon", "2026-13-40", "last", "-3 days ago", "9999999 days ago", "2026-11-12T25:00"]
)
def test_what_names_no_moment_is_refused_with_what_does(said: str) -> None:
    with pytest.raises(NoMomentError, match="is no moment; say a day"):
        moment_of(said, NOW_S)
