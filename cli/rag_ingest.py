"""Reads a file or a folder into a space, and waits: what `potluck rag ingest` does."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.output import talk
from cli.rag_client import NO_TERMS, NoSuchSpaceError, RagClient
from cli.rag_sharing import Terms
from router.knowledge.objects import FolderObject, StoreFileObject, StoreObject

LOOK_S = 0.5
STUCK_S = 30.0  # after which a folder that never settles has something in it that cannot be seen

Told = Callable[[int, int], None]


class NotAllReadError(Exception):
    """Some files could not be read. The command prints it after their list, and exits 1."""

    def __init__(self, failed: int, total: int) -> None:
        super().__init__(f"{failed} of {total} files could not be read; mend them, and ingest them again")
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Ingested:
    """`files`: those that this was about, by name. `unseen`: something in the folder could not be looked into."""

    space: StoreObject
    files: tuple[StoreFileObject, ...]
    unseen: bool = False

    @property
    def failed(self) -> tuple[StoreFileObject, ...]:
        return tuple(file for file in self.files if file.status != "completed")


def read_into(gateway: RagClient, space_name: str, path: Path, watch: bool, terms: Terms = NO_TERMS) -> Ingested:
    """Raises what RagClient raises."""
    space = _space(gateway, space_name, terms)
    with _progress(path.name) as told:
        if path.is_dir():
            return _folder(gateway, space, gateway.add_folder(space.id, path, watch), told)
        return Ingested(space, _until_read(gateway, [gateway.upload(space.id, path)], told))


def read_again(gateway: RagClient, space: StoreObject, names: Sequence[str]) -> Ingested:
    """These files, by name or id; without names, those that could not be read. Raises what RagClient raises."""
    if names:
        files = [gateway.file(space, name) for name in names]
    else:
        files = [file for file in gateway.files(space.id) if file.status == "failed"]
    with _progress(space.name or space.id) as told:
        return Ingested(space, _until_read(gateway, [gateway.read_again(file) for file in files], told))


def _until_read(gateway: RagClient, files: Sequence[StoreFileObject], told: Told) -> tuple[StoreFileObject, ...]:
    obstacles = _Obstacles()
    while waiting := {file.id for file in files if file.status == "in_progress"}:
        told(len(files) - len(waiting), len(files))
        time.sleep(LOOK_S)
        files = [gateway.file_now(file.vector_store_id, file.id) if file.id in waiting else file for file in files]
        obstacles.tell(files)
    return tuple(files)


def _space(gateway: RagClient, name: str, terms: Terms) -> StoreObject:
    try:
        return gateway.share(gateway.space(name), terms)
    except NoSuchSpaceError:
        made = gateway.make_space(name, terms=terms)
        talk(f"{name}: made; its vectors come from {made.potluck.embedding_model}")
        return made


def _folder(gateway: RagClient, space: StoreObject, folder: FolderObject, told: Told) -> Ingested:
    quiet_s, obstacles = 0.0, _Obstacles()
    while not (folder.settled and not folder.file_counts.in_progress) and quiet_s < STUCK_S:
        time.sleep(LOOK_S)
        quiet_s = 0.0 if folder.file_counts.in_progress else quiet_s + LOOK_S
        folder = next((one for one in gateway.folders() if one.id == folder.id), folder)
        counts = folder.file_counts
        told(counts.total - counts.in_progress, counts.total)
        if counts.in_progress:
            obstacles.tell(_files_of(gateway.files(space.id), folder))
    return Ingested(space, _files_of(gateway.files(space.id), folder), unseen=not folder.settled)


class _Obstacles:
    """What keeps files from being read just now: they are tried again, and whoever waits wants to know why."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, files: Sequence[StoreFileObject]) -> None:
        for file in files:
            why = file.last_error.message if file.status == "in_progress" and file.last_error else ""
            if why and why not in self._told:
                self._told.add(why)
                talk(f"{file.potluck.filename}: {why}; it is tried again")


def _files_of(files: Sequence[StoreFileObject], folder: FolderObject) -> tuple[StoreFileObject, ...]:
    mine = [file for file in files if file.potluck.folder == folder.path]
    return tuple(sorted(mine, key=lambda file: file.potluck.filename))


@contextmanager
def _progress(label: str) -> Iterator[Told]:
    """A bar on stderr; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
