import os
from pathlib import Path

import pytest

from inventory.incoming import sweep_downloads
from inventory.store_files import exclusive

DAY_S = 86_400.0


def a_part(downloads: Path, name: str, age_s: float) -> Path:
    """A file of a download that was last written at wall time 100 days less `age_s`."""
    part = downloads / name / "00000"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    for path in (part, part.parent):
        os.utime(path, (100 * DAY_S - age_s,) * 2)
    return part


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


def test_parts_that_nobody_went_on_with_are_dropped_and_younger_ones_kept(downloads: Path) -> None:
    old, young = a_part(downloads, "copy-a", 15 * DAY_S), a_part(downloads, "copy-b", 13 * DAY_S)

    assert sweep_downloads(downloads, before_s=86 * DAY_S) == 1000
    assert not old.parent.exists()
    assert young.exists()


def test_a_download_that_is_under_way_is_left_alone_however_old(downloads: Path) -> None:
    part = a_part(downloads, "copy-a", 15 * DAY_S)
    with exclusive(downloads / ".copy-a.lock"):
        assert sweep_downloads(downloads, before_s=86 * DAY_S) == 0

    assert part.exists()


def test_a_store_that_never_downloaded_has_nothing_to_sweep(downloads: Path) -> None:
    assert sweep_downloads(downloads, before_s=0) == 0
