"""Secrets as files: created once with mode 0600, and refused when others could read them."""

import os
import stat
from pathlib import Path


class ExposedSecretError(Exception):
    """A secret that group or others can read. Handled by the command that needed it: it prints this and exits 1."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__(f"{path} is readable by others (mode {mode:04o}); run: chmod 600 {path}")
        self.path, self.mode = path, mode


def write_secret(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` atomically. It never is more open than `mode`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(mode)
    temporary.replace(path)


def new_secret(path: Path, content: bytes) -> None:
    """A file that is not there yet, mode 0600. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def read_secret(path: Path) -> str:
    """The secret without surrounding white space. Raises ExposedSecretError, FileNotFoundError."""
    refuse_exposed(path)
    return path.read_text().strip()


def refuse_exposed(path: Path) -> None:
    """Raises ExposedSecretError where others can read it, FileNotFoundError."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ExposedSecretError(path, mode)
