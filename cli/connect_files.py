"""A client's files on disk: written whole or not at all, kept as they were before, and put back byte for byte."""

import os
import stat
from pathlib import Path

from cli.connect_merge import UnreadableError, merged
from cli.connect_setup import Entries
from inventory.secret_files import write_secret

KEPT = ".before-potluck"  # the file as it was
NONE_BEFORE = ".made-by-potluck"  # empty: there was no file


class NotMergedError(Exception):
    """A file of the client cannot take the entries. Nothing was written; the command prints this and exits 1."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}. Nothing was changed; `--print` shows what to put there by hand")
        self.path = path


class NothingKeptError(Exception):
    """No file of this client was written by potluck. The command prints it and exits 4."""

    def __init__(self, client: str, paths: tuple[Path, ...]) -> None:
        super().__init__(f"nothing to restore for {client}: {', '.join(map(str, paths))} is as potluck found it")


def write(entries: tuple[Entries, ...]) -> list[Path]:
    """Write every file, after all could be merged. Returns those written. Raises NotMergedError."""
    planned = [(file, path := _real(file), _merged(file, path)) for file in entries]
    for file, path, text in planned:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        _keep(path)
        write_secret(path, text, 0o600 if file.secret else mode)
    return [path for _, path, _ in planned]


def restore(client: str, entries: tuple[Entries, ...]) -> list[Path]:
    """Put back what was there before, mode included. Raises NothingKeptError."""
    paths = tuple(_real(file) for file in entries)
    restored = [path for path in paths if _restored(path)]
    if not restored:
        raise NothingKeptError(client, paths)
    return restored


def _restored(path: Path) -> bool:
    kept, none_before = _beside(path, KEPT), _beside(path, NONE_BEFORE)
    if kept.exists():
        kept.replace(path)
        return True
    if none_before.exists():
        path.unlink(missing_ok=True)
        none_before.unlink()
        return True
    return False


def _keep(path: Path) -> None:
    """Once: what a second `--write` finds is not the user's any more."""
    kept, none_before = _beside(path, KEPT), _beside(path, NONE_BEFORE)
    if kept.exists() or none_before.exists():
        return
    if not path.exists():
        none_before.touch(mode=0o600)
        return
    unfinished = kept.with_name(f".{kept.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(path.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    unfinished.chmod(stat.S_IMODE(path.stat().st_mode))
    unfinished.replace(kept)


def _merged(file: Entries, path: Path) -> str:
    try:
        return merged(file.form, path.read_bytes().decode() if path.exists() else None, file.tree)
    except UnicodeDecodeError:
        raise NotMergedError(path, "it is not text in UTF-8") from None
    except UnreadableError as error:
        raise NotMergedError(path, str(error)) from None


def _real(file: Entries) -> Path:
    """Where a link points to: people keep such files elsewhere and link them."""
    return Path(file.path).resolve()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
