"""Of all tests: no example of a property is timed, and what a run leaves behind holds no key, secret or prompt."""

import os

from hypothesis import settings

from support.leak_watch import pytest_sessionfinish, pytest_terminal_summary

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary"]

EXAMPLES = int(
    os.environ.get("POTLUCK_EXAMPLES", "50")
)  # of a property that does not say how many; 1000 for a long look

settings.register_profile("house", deadline=None, max_examples=EXAMPLES)
settings.load_profile("house")
