"""A database that this process has open, opened by it once more: its locks hold against other processes."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from cluster.private_database import connect_private, open_private

VISIT = """
import sqlite3, sys
visitor = sqlite3.connect(sys.argv[1])
visitor.execute("SELECT count(*) FROM facts").fetchone()
visitor.close()
"""


def test_opening_it_again_does_not_let_another_process_take_its_log_away(tmp_path: Path) -> None:
    """A process that closes a file loses all its locks on it: whoever comes next would think itself alone, and remove
    the log from under those that still use it."""
    path = tmp_path / "some.db"
    with closing(open_private(path)) as first:
        first.execute("CREATE TABLE facts (fact TEXT)")
        open_private(path).close()
        subprocess.run([sys.executable, "-c", VISIT, path], check=True)
        assert path.with_name("some.db-wal").exists()
        first.execute("INSERT INTO facts VALUES ('x')")
        assert first.execute("SELECT count(*) FROM facts").fetchone() == (1,)


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    connect_private(path).close()

    assert path.stat().st_mode & 0o777 == 0o600
