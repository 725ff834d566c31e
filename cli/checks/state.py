"""The state directory: whose it is, who can read it, and whether what lies in it can be used."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cli.checks.finding import Result, fail, ok, warn, word
from cli.checks.situation import Situation
from cli.prepare import NotPreparedError, this_node
from cluster.keys import private_files
from inventory.paths import StatePaths


def check_state(situation: Situation) -> Iterator[Result]:
    root = situation.paths.root
    if not root.exists():
        yield from _not_made_yet(root)
        return
    facts = root.stat()
    mode = stat.S_IMODE(facts.st_mode)
    if not root.is_dir():
        yield fail(f"{root} is a file, and has to be a directory", f"move it away: mv {word(root)} {word(root)}.old")
    elif facts.st_uid != os.getuid():
        owner = f"{root} belongs to user {facts.st_uid}, and this is user {os.getuid()}"
        say = warn if os.getuid() == 0 else fail  # who looks as root sees all, and should not start it
        yield say(owner, f"run potluck as its owner, or: sudo chown -R {os.getuid()} {word(root)}")
    elif mode & 0o077:
        yield fail(f"{root} is open to others (mode {mode:04o})", f"chmod 700 {word(root)}")
    elif not os.access(root, os.W_OK | os.X_OK):
        yield fail(f"{root} cannot be written", "mount its disk for writing, or choose another place with --state-dir")
    else:
        yield from _sockets(situation.paths)


def _not_made_yet(root: Path) -> Iterator[Result]:
    above = next(path for path in root.parents if path.exists())
    if os.access(above, os.W_OK | os.X_OK):
        yield ok(f"{root} does not exist yet; `potluck up` makes it")
    else:
        yield fail(f"{root} does not exist, and {above} cannot be written", "choose another place with --state-dir")


def _sockets(paths: StatePaths) -> Iterator[Result]:
    """Where the path is too long for a socket's name, sockets lie elsewhere, in a place that anybody could make."""
    place = paths.socket_dir
    if place != paths.run and place.exists():
        facts = place.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            yield fail(f"{place}, where the sockets lie, is not private to this user", f"rm -r {word(place)}")
            return
    yield ok(f"{paths.root}, private to this user")


def check_secrets(situation: Situation) -> Iterator[Result]:
    paths = situation.paths
    places = (paths.secrets, paths.identity, paths.ca)
    files = {*private_files(paths), *(file for place in places if place.exists() for file in place.glob("*"))}
    exposed = [path for path in sorted(files) if _is_exposed(path)]
    if exposed:
        names = " ".join(map(word, exposed))
        yield fail(f"readable by others: {names}", f"chmod 600 {names}")
    else:
        yield ok("every secret is readable by this user only")


def _is_exposed(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except FileNotFoundError:  # being replaced at this moment
        return False


def check_config(situation: Situation) -> Iterator[Result]:
    file, error = situation.paths.config_file, situation.config_error
    if error is not None:
        yield fail(f"{file} is not valid: {error.problems[0]}{_more(len(error.problems))}", _validate(file))
        return
    if situation.config is None:
        return
    membership = situation.membership
    if membership is not None:
        yield ok(f"this machine is {membership.node_id} of {membership.cluster}, whose head has cluster.yaml")
        return
    if not file.exists():
        yield ok("none of its own: this machine alone, with the model that comes with potluck")
        return
    try:
        name = this_node(situation.paths, situation.config)
    except NotPreparedError as unnamed:
        yield fail(str(unnamed).partition(";")[0], "potluck up --node NAME, or add this machine under `nodes`")
    else:
        yield ok(f"{file} is valid; this machine is {name}")


def _more(problems: int) -> str:
    return f" (and {problems - 1} more)" if problems > 1 else ""


def _validate(file: Path) -> str:
    return f"potluck config validate {word(file)} lists every line to change"
