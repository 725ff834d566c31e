"""Of all tests: no example of a property is timed, and what a run leaves behind holds no key, secret or prompt."""

from hypothesis import settings

from support.leak_watch import pytest_sessionfinish, pytest_terminal_summary

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary"]

settings.register_profile("house", deadline=None)
settings.load_profile("house")
