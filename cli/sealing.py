"""Whether this machine's potluck runs sealed, and sealing a process before it does anything else."""

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.paths import StatePaths
    from nodes.sealing.place import SealedRules


class SealedError(Exception):
    """What sealed mode does not do, or not now. The command prints this and exits 1."""


def is_wanted(paths: "StatePaths", asked: bool) -> bool:
    """By the command line, by whoever started this process, by cluster.yaml, or by this member's head."""
    from cli.wire import load_or_default
    from nodes.membership import membership_file
    from nodes.sealing.guard import DIRECTORY
    from nodes.sealing.place import is_sealed

    if asked or os.environ.get(DIRECTORY):
        return True
    if membership_file(paths.identity).exists():
        return is_sealed(paths)
    return load_or_default(paths).config.sealed.enabled


def seal_if_wanted(paths: "StatePaths", asked: bool) -> None:
    """The first thing that a service does. Raises ConfigError, OSError."""
    from nodes.sealing.guard import DIRECTORY
    from nodes.sealing.place import SealedRules, asked_here, is_sealed, note_asked, seal_this_process, write_rules

    asked = asked or bool(os.environ.get(DIRECTORY))
    if asked_here(paths) and not asked:  # as its operator wanted it before; a head that is sealed says so again
        write_rules(paths, SealedRules(False))
    note_asked(paths, asked)
    if is_wanted(paths, asked):
        write_rules(paths, first_rules(paths))
        seal_this_process(paths)
    elif is_sealed(paths):
        write_rules(paths, SealedRules(False))


def first_rules(paths: "StatePaths") -> "SealedRules":
    """Until the head, of this machine or of this member's cluster, says more: what was known, and cluster.yaml."""
    from cli.wire import load_or_default
    from nodes.membership import read_membership
    from nodes.sealing.place import read_rules, rules_for

    config, membership, before = load_or_default(paths).config, read_membership(paths.identity), read_rules(paths)
    others = membership is not None or config.cluster.listen is not None
    known = before.networks if before is not None and others else ()
    hosts = (membership.head_host,) if membership is not None else ()
    return rules_for((*config.sealed.networks, *known), hosts)


def runs_sealed(paths: "StatePaths") -> bool:
    """Whether services run sealed here. While nothing runs, what a command asks for is the operator's own doing."""
    from typing import get_args

    from nodes.role_lock import ServiceRole, running
    from nodes.sealing.place import is_sealed

    return is_sealed(paths) and any(running(paths.run, role) for role in get_args(ServiceRole))


@contextmanager
def fetching(paths: "StatePaths", source: str) -> "Iterator[bool]":
    """Whether a model may come from the network. Raises SealedError where it had to, and may not."""
    from inventory.sources import NetworkNotAllowedError

    sealed = runs_sealed(paths)
    try:
        yield not sealed
    except NetworkNotAllowedError as error:
        instead = "fetch it on another machine, then here: potluck models import PATH; or first: potluck down"
        raise SealedError(f"this cluster runs sealed, so fetching {source} is refused; {instead}") from error


def refuse_if_sealed(paths: "StatePaths", what: str, instead: str) -> None:
    """Raises SealedError."""
    if runs_sealed(paths):
        raise SealedError(f"this cluster runs sealed, so {what} is refused; {instead}")


def refuse_to_install(paths: "StatePaths", sealed: bool) -> None:
    """Raises SealedError."""
    if is_wanted(paths, sealed):
        raise SealedError("a sealed cluster fetches nothing; first: potluck up --install, then: potluck up --sealed")


def refuse_if_running_open(paths: "StatePaths") -> None:
    """Raises SealedError for services that run already, and not sealed."""
    from nodes.role_lock import running
    from nodes.sealing.place import is_sealed

    if running(paths.run, "up") is not None and not is_sealed(paths):
        raise SealedError("potluck runs already, and not sealed; first: potluck down")
