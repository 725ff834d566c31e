"""All checks, in the order in which they are run and shown."""

from cli.conformance import (
    check_answers,
    check_embeddings,
    check_errors,
    check_headers,
    check_http,
    check_load,
    check_models,
    check_streams,
    check_usage,
)
from cli.conformance.verdicts import Check

CHECKS: tuple[Check, ...] = (
    *check_models.CHECKS,
    *check_errors.CHECKS,
    *check_headers.CHECKS,
    *check_streams.CHECKS,
    *check_usage.CHECKS,
    *check_answers.CHECKS,
    *check_embeddings.CHECKS,
    *check_http.CHECKS,
    *check_load.CHECKS,
)


class NoSuchCheckError(Exception):
    """A name that --only was given. The command prints it and exits 2."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no check is called {name}; there are: {', '.join(check.name for check in CHECKS)}")
        self.name = name


def chosen(names: tuple[str, ...]) -> tuple[Check, ...]:
    """Those named, by their own name or their subject's; all where none is. Raises NoSuchCheckError."""
    for name in names:
        if not any(name in (check.name, check.subject) for check in CHECKS):
            raise NoSuchCheckError(name)
    return tuple(check for check in CHECKS if not names or {check.name, check.subject} & set(names))
