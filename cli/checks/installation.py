"""The program itself: where its packages come from, its interpreter, its limits, and whether Ray's head is like it."""

import platform
import resource
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from cli.checks.finding import Result, fail, ok, warn
from cli.checks.situation import Situation
from nodes.ray_member import read_order
from nodes.ray_versions import Versions, versions_here, why_apart

ROOMS = ("inventory", "nodes", "cluster", "router", "rag", "cli")
MIN_OPEN_FILES = 1024


def check_rooms(_: Situation) -> Iterator[Result]:
    """All six packages must come from one directory: their names are generic, so an impostor is possible."""
    places = {room: _directory_of(room) for room in ROOMS}
    if len(set(places.values())) == 1:
        yield ok(f"all six load from {places['cli']}")
        return
    strange = ", ".join(f"{room} from {place}" for room, place in places.items() if place != places["cli"])
    yield fail(f"another package answers to our name: {strange}", "run potluck in an environment of its own")


def check_python(_: Situation) -> Iterator[Result]:
    """Never wrong by itself, but the interpreter's path shows a wrong environment."""
    yield ok(f"{platform.python_version()} at {sys.executable}")


def check_open_files(_: Situation) -> Iterator[Result]:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= MIN_OPEN_FILES:
        yield ok(f"limit {soft}")
    else:
        yield warn(f"limit {soft}: each client and engine connection takes one", f"ulimit -n {MIN_OPEN_FILES * 4}")


def check_versions(situation: Situation) -> Iterator[Result]:
    """On a machine that was ordered to take part in the head's Ray."""
    order = read_order(situation.paths)
    if order is None:
        return
    here = versions_here()
    apart = why_apart(here, Versions(order.python, order.ray))
    if not apart:
        yield ok(f"python {here.python} and ray {here.ray} go with the head's")
        return
    wanted = ".".join(order.python.split(".")[:2])
    fix = f"install potluck with Python {wanted} and ray=={order.ray} here; until then the link is https"
    yield warn(f"this machine cannot take part in Ray: {apart}", fix)


def _directory_of(room: str) -> Path | None:
    found = find_spec(room)
    return Path(found.origin).parent.parent if found and found.origin else None
