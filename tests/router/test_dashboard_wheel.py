"""The wheel has the dashboard's page as it is served, and nothing of what it was built from."""

import gzip
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from support.built_page import ROOT, fingerprint, sources_of, stale


def test_the_committed_page_is_built_from_the_committed_sources() -> None:
    assert not stale(ROOT)


def test_the_page_is_small_enough_for_a_slow_network() -> None:
    files = [path for path in (ROOT / "router/dashboard/static").rglob("*") if path.suffix in (".js", ".css")]
    packed = sum(len(gzip.compress(path.read_bytes())) for path in files)
    print(f"RESULT dashboard gzipped_bytes={packed}")

    assert 10_000 < packed <= 120_000


def test_another_source_is_another_fingerprint() -> None:
    sources = sources_of(ROOT)

    assert fingerprint(sources | {"src/another.ts": b""}) != fingerprint(sources)
    assert fingerprint(sources | {"index.html": b""}) != fingerprint(sources)


def test_a_wheel_serves_the_page_and_has_no_sources_of_it(tmp_path: Path) -> None:
    building = "from hatchling.build import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", building, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in ZipFile(wheel).namelist() if name.startswith("router/dashboard/")}
    static = {str(path.relative_to(ROOT)) for path in (ROOT / "router/dashboard/static").rglob("*") if path.is_file()}

    assert static and static <= names
    assert "router/dashboard/desk.py" in names
    assert not [name for name in names if name.startswith("router/dashboard/web/")]
