"""GGUF models on disk: opens files and hands their headers to the pure reader."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from inventory.catalog import ModelSpec
from inventory.gguf_header import GgufError, GgufHeader, parse_header
from inventory.gguf_spec import spec_of


def read_header(path: Path, shown_as: str | None = None) -> GgufHeader:
    """The header of one file. Raises GgufError, OSError. Errors name the file `shown_as`, by default its path."""
    name = shown_as or str(path)
    # O_NONBLOCK: a named pipe would otherwise block here until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise GgufError(name, "it is not a regular file")
        return parse_header(file, name, facts.st_size)


def read_spec(paths: Sequence[Path], projector: Path | None = None) -> ModelSpec:
    """The model in these files, all parts in order. Raises GgufError, OSError."""
    headers = [read_header(path) for path in paths]
    return spec_of(headers, None if projector is None else read_header(projector))
