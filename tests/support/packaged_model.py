"""The real models of the tests, from the packages that the built-in sources name: SmolLM2-135M, and an encoder."""

from pathlib import Path

import pytest

from inventory.packaged import locate
from inventory.packaged_models import PACKAGED_MODELS


def smollm2_path() -> Path:
    return packaged_paths("smollm2")[0]


def packaged_paths(key: str) -> tuple[Path, ...]:
    """Weights first."""
    model = PACKAGED_MODELS[key]
    paths = locate(model)
    if paths is None:
        pytest.skip(f"the package of {model.requirement} is not installed")
    return paths
