"""The end of every run of the tests: what it wrote is looked through, and a leak fails the run. Hooks of a conftest."""

import pytest
from _pytest.tmpdir import TempPathFactory

from support.leaks import Leak, leaks_below

FOUND = pytest.StashKey[list[Leak]]()


@pytest.hookimpl(tryfirst=True)  # before pytest may remove directories of tests that passed
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Once, where the run was started: its workers' directories lie in its own."""
    factory: TempPathFactory | None = getattr(session.config, "_tmp_path_factory", None)
    if factory is None or hasattr(session.config, "workerinput") or factory._basetemp is None:
        return
    found = session.config.stash[FOUND] = leaks_below(factory.getbasetemp())
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(FOUND, [])
    if found:
        terminalreporter.section("leaks: what no file may hold")
        for leak in found:
            terminalreporter.line(str(leak))
