"""Of all tests: no example of a property is timed, and what a run leaves behind holds no key, secret or prompt."""

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from support.e2e_workers import pytest_xdist_make_scheduler
from support.leak_watch import pytest_sessionfinish, pytest_terminal_summary

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary", "pytest_xdist_make_scheduler"]

EXAMPLES = int(
    os.environ.get("POTLUCK_EXAMPLES", "50")
)  # of a property that does not say how many; 1000 for a long look

settings.register_profile("house", deadline=None, max_examples=EXAMPLES)
settings.load_profile("house")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays to the end: looking for garbage in it takes as long as all the rest."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
