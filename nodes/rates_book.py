"""What was measured of this machine's engines, so that each is measured once: by model, build and options."""

from pathlib import Path

import msgspec
import structlog

from inventory.store_files import write_atomically
from nodes.orders import EngineSpec
from nodes.rates import Rates

MOST_ENTRIES = 512

log = structlog.get_logger("potluck.engines")


class RatesBook:
    """One file beside the engines' environments. Daemons that share these share it too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = _read(path)

    def of(self, spec: EngineSpec, engine_version: str | None) -> Rates | None:
        return self._entries.get(_key(spec, engine_version))

    def look_again(self) -> None:
        """Another daemon may have measured what this one has not."""
        self._entries = _read(self._path) | self._entries

    def put(self, spec: EngineSpec, engine_version: str | None, rates: Rates) -> None:
        """The oldest make room. A disk that is full costs the next daemon a measurement, and nothing else."""
        self.look_again()
        self._entries[_key(spec, engine_version)] = rates
        for old in list(self._entries)[:-MOST_ENTRIES]:
            del self._entries[old]
        try:
            write_atomically(self._path, msgspec.json.encode(self._entries))
        except OSError as error:
            log.warning("engine_rates_not_kept", reason=str(error))


def _key(spec: EngineSpec, engine_version: str | None) -> str:
    options = ",".join(f"{name}={value}" for name, value in sorted(spec.options))
    return f"{spec.model} {spec.kind} {engine_version} {options}".rstrip()


def _read(path: Path) -> dict[str, Rates]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Rates])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:  # it is measured again
        log.warning("engine_rates_unreadable", reason=str(error))
        return {}
