"""The configuration in force: read at the start, replaced as a whole when told, numbered by the registry."""

import stat
from pathlib import Path

from cluster.config import ClusterConfig
from cluster.config_load import LoadedConfig, load_config, parse_config
from cluster.defaults import default_config
from cluster.desired import Desired, desired_state
from cluster.registry import Registry
from inventory.secret_files import write_secret


class ConfigOwner:
    """The only writer of the configuration file. `file` need not exist: the embedded default holds until then."""

    def __init__(self, file: Path, registry: Registry, loaded: LoadedConfig) -> None:
        self._file = file
        self._registry = registry
        self._loaded = loaded
        self._revision = registry.note_config(loaded.config_hash, loaded.text)

    @classmethod
    def read(cls, chosen: Path | None, usual: Path, registry: Registry) -> "ConfigOwner":
        """`chosen` by the operator must exist; the `usual` place need not. Raises ConfigError."""
        file = (chosen or usual).resolve()
        loaded = load_config(file) if chosen is not None or file.exists() else default_config()
        return cls(file, registry, loaded)

    @property
    def file(self) -> Path:
        return self._file

    @property
    def text(self) -> str:
        return self._loaded.text

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def config(self) -> ClusterConfig:
        return self._loaded.config

    @property
    def desired(self) -> Desired:
        return desired_state(self._loaded.config, self._revision)

    def apply(self, text: str) -> bool:
        """Replace the configuration, file first. True if it changed anything. Raises ConfigError, OSError.

        After a crash between file and registry, the next start finds the file and numbers it then.
        """
        loaded = parse_config(text, "cluster.yaml")
        _replace_file(self._file, text)
        before, self._loaded = self._revision, loaded
        self._revision = self._registry.note_config(loaded.config_hash, loaded.text)
        return self._revision != before


def _replace_file(path: Path, text: str) -> None:
    """Atomically, and with the permissions the file had."""
    write_secret(path, text, stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600)
