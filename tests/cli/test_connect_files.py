import stat
from pathlib import Path

import pytest

from cli.connect_files import NothingKeptError, NotMergedError, restore, write
from cli.connect_setup import Entries


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything_below(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_was_there_comes_back_byte_for_byte_and_what_was_not_goes(tmp_path: Path) -> None:
    theirs = tmp_path / "config.json"
    theirs.write_bytes(b'{"a":1 ,\r\n  "b": 2}')
    theirs.chmod(0o640)
    before = everything_below(tmp_path)
    entries = (
        Entries(str(theirs), "json", {"key": "k"}, secret=True),
        Entries(str(tmp_path / "deep" / "new.toml"), "toml", {"model": "toy"}, secret=False),
    )

    written = write(entries)
    write((Entries(str(theirs), "json", {"key": "another"}, secret=True), entries[1]))

    assert written == [theirs, tmp_path / "deep" / "new.toml"]
    assert b"another" in theirs.read_bytes() and mode(theirs) == 0o600
    assert restore("it", entries) == written
    assert everything_below(tmp_path) == before
    assert mode(theirs) == 0o640
    with pytest.raises(NothingKeptError):
        restore("it", entries)


def test_a_file_without_a_secret_keeps_its_mode(tmp_path: Path) -> None:
    theirs = tmp_path / "config.toml"
    theirs.write_text("a = 1\n")
    theirs.chmod(0o604)

    write((Entries(str(theirs), "toml", {"b": 2}, secret=False),))

    assert mode(theirs) == 0o604


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles" / "settings.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    link = tmp_path / "settings.json"
    link.symlink_to(kept)

    write((Entries(str(link), "json", {"a": 1}, secret=True),))

    assert link.is_symlink() and '"a": 1' in kept.read_text()
    restore("it", (Entries(str(link), "json", {}, secret=True),))
    assert link.is_symlink() and kept.read_text() == "{}"


def test_nothing_is_written_where_one_file_cannot_be(tmp_path: Path) -> None:
    broken = tmp_path / "settings.json"
    broken.write_text('{"a": 1 // mine\n}')
    before = everything_below(tmp_path)

    with pytest.raises(NotMergedError, match=r"settings\.json: it is not plain JSON.*Nothing was changed"):
        write(
            (
                Entries(str(tmp_path / "first.env"), "env", {"A": "1"}, secret=True),
                Entries(str(broken), "json", {"a": 1}, secret=False),
            )
        )

    assert everything_below(tmp_path) == before
