"""Measurements on disk, a JSON line each, appended as they are made: a run that was cut off goes on where it was."""

import os
from pathlib import Path

import msgspec

from bench.fit.cells import Cell, Measurement

Key = tuple[Cell, str, str]


class Results:
    """The lines of one file. A line that cannot be read, as a run that died left it, is measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Key, Measurement] = {}
        lines = path.read_bytes().splitlines() if path.exists() else []
        for line in lines:
            try:
                measurement = msgspec.json.decode(line, type=Measurement)
            except msgspec.MsgspecError:
                continue
            self._known[key_of(measurement)] = measurement

    def get(self, key: Key) -> Measurement | None:
        return self._known.get(key)

    def add(self, measurement: Measurement) -> None:
        self._known[key_of(measurement)] = measurement
        with self._path.open("ab") as file:
            file.write(b"\n" + msgspec.json.encode(measurement) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def key_of(measurement: Measurement) -> Key:
    """A figure holds for one artifact and one version of the engine."""
    return measurement.cell, measurement.artifact, measurement.engine_version
