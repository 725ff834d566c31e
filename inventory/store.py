"""The local model store: content-addressed blobs, manifests that name their bytes, and names that people use.

    blobs/SHA256              one file's bytes, read-only
    manifests/ARTIFACT.json   which blobs make an artifact, and its spec as read from them
    artifacts/ARTIFACT/NAME   links to the blobs under the files' own names, which is what an engine opens
    names/NAME[@FORMAT].json  what a person calls it, where it came from, and since when it is here (GGUF: NAME.json)
    incoming/, downloads/     bytes that are not part of the store yet

A name has at most one artifact of each format: one model, an artifact per engine.

A name is written last and removed first, so whatever a crash leaves behind is unreachable, and is swept later.
Readers take no lock; every change is made under one.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inventory.catalog import ArtifactFile, ArtifactFormat, ArtifactId, HeldModel, ModelName, ModelSpec, StoredModel
from inventory.clock import Clock
from inventory.disk_space import free_bytes
from inventory.incoming import Incoming, Staged, stage, sweep_incoming
from inventory.model_error import ModelFileError
from inventory.model_files import UnusableModelError, find_model_files
from inventory.model_reader import read_model
from inventory.progress import Progress, silent
from inventory.store_files import exclusive, hash_file, sync_directory, write_atomically
from inventory.store_layout import StoreLayout
from inventory.store_records import (
    FORMATS,
    SCHEMA_VERSION,
    DamagedRecordError,
    Manifest,
    ModelNotFoundError,
    NameRecord,
    cached_spec,
    checked_name,
    decode_manifest,
    decode_name,
    encode,
    held_of,
    is_plain_path,
    manifest_of,
    stored_of,
)


class NameTakenError(Exception):
    """The name belongs to other bytes of this format, or to another model. Handled by the command that gave it."""

    def __init__(self, name: str, artifact_id: ArtifactId) -> None:
        super().__init__(
            f"{name} already names another model ({artifact_id[:12]}); choose another name,"
            f" or first run: potluck models rm {name}"
        )
        self.name, self.artifact_id = name, artifact_id


class DamagedModelError(Exception):
    """Bytes of the store that are not what they were. Handled by the command or node that verified them."""

    def __init__(self, name: str, file: str, reason: str) -> None:
        super().__init__(f"{name}: {file} is damaged ({reason}); run: potluck models rm {name}, and get it again")
        self.name, self.file, self.reason = name, file, reason


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from. Without a revision of its own it gets the first 12 characters of its artifact id."""

    source: str
    revision: str | None = None


class ModelStore:
    """One directory, safe for several processes. `free` tells the room on its disk."""

    def __init__(self, root: Path, clock: Clock, free: Callable[[Path], int] = free_bytes) -> None:
        self.root = root
        self._layout, self._clock, self._free = StoreLayout(root), clock, free

    def list(self) -> tuple[StoredModel, ...]:
        """All models by name, one entry per artifact, without those whose records cannot be read: see `damaged`."""
        return tuple(entry for entry in self._entries() if isinstance(entry, StoredModel))

    def damaged(self) -> tuple[DamagedRecordError, ...]:
        """What is wrong with the store's records, for the operator."""
        return tuple(entry for entry in self._entries() if isinstance(entry, DamagedRecordError))

    def held(self) -> tuple[HeldModel, ...]:
        """What this machine tells the cluster about its models; reads records, never blobs."""
        return tuple(held_of(model) for model in self.list())

    def get(self, name: str, format: ArtifactFormat | None = None) -> StoredModel:
        """Without a format, the first of FORMATS that is here. Raises ModelNotFoundError, DamagedRecordError."""
        return self.artifacts(name, format)[0]

    def artifacts(self, name: str, format: ArtifactFormat | None = None) -> tuple[StoredModel, ...]:
        """A model's artifacts, at most one of each format. Raises ModelNotFoundError, DamagedRecordError."""
        found = [self.find(name, wanted) for wanted in (FORMATS if format is None else (format,))]
        models = tuple(model for model in found if model is not None)
        if not models:
            raise ModelNotFoundError(name, (model.name for model in self.list()), format)
        return models

    def find(self, name: str, format: ArtifactFormat) -> StoredModel | None:
        """Raises DamagedRecordError."""
        return self._load(self._layout.name(name, format))

    def by_artifact(self, artifact_id: ArtifactId) -> StoredModel | None:
        """The model of this content; the first by name where it has several."""
        return next((model for model in self.list() if model.artifact.artifact_id == artifact_id), None)

    def files(self, artifact_id: ArtifactId) -> tuple[Path, ...]:
        """All paths under the files' own names, weights first. Raises ModelNotFoundError."""
        return tuple(self._layout.view(artifact_id) / file.path for file in self._manifest(artifact_id).files)

    def main_path(self, artifact_id: ArtifactId) -> Path:
        """What an engine is given: GGUF's first file, the folder of any other format. Raises ModelNotFoundError."""
        manifest, view = self._manifest(artifact_id), self._layout.view(artifact_id)
        return view / manifest.files[0].path if manifest.format == "gguf" else view

    def projector_file(self, artifact_id: ArtifactId) -> Path | None:
        files = self._manifest(artifact_id).files
        view = self._layout.view(artifact_id)
        return next((view / file.path for file in files if file.role == "projector"), None)

    def import_path(self, path: Path, name: str, progress: Progress = silent) -> StoredModel:
        """Take in a GGUF file with all parts of it, or a folder of any format. The originals are left alone.

        Raises UnusableModelError, ModelFileError, DiskFullError, NameTakenError, InvalidNameError, OSError.
        """
        files = find_model_files(path)
        is_folder = any(file.role == "settings" for file in files)
        shown = path.absolute().name if is_folder else files[0].name
        return self.admit(files, Origin(f"file:{shown}"), name, progress)

    def admit(self, files: Sequence[Incoming], origin: Origin, name: str, progress: Progress = silent) -> StoredModel:
        """Take in files whose roles are known, weights first and in order.

        Raises HashMismatchError, and what import_path raises.
        """
        checked = checked_name(name)
        _check_paths(files, origin)
        self._layout.prepare()
        if all(file.sha256 is None for file in files):  # else the hash tells a bad file better than its header does
            read_model(origin.source, files)
        with stage(self.root, files, self.free_bytes(), progress) as staged:
            copies = [Incoming(item.path, item.file.path, item.file.role) for item in staged]
            format, spec = read_model(origin.source, copies)
            manifest = manifest_of(format, tuple(item.file for item in staged), spec)
            with exclusive(self._layout.lock):
                return self._commit(staged, manifest, spec, origin, checked)

    def verify(
        self, name: str, progress: Progress = silent, format: ArtifactFormat | None = None
    ) -> tuple[StoredModel, ...]:
        """Hash every byte again. Raises DamagedModelError for the first file that changed, ModelNotFoundError."""
        models = self.artifacts(name, format)
        total, before = sum(model.artifact.size_bytes for model in models), 0
        for file in (file for model in models for file in model.artifact.files):
            start = before
            try:
                actual = hash_file(self._layout.blob(file), lambda done, _, start=start: progress(start + done, total))
            except OSError as error:
                raise DamagedModelError(name, file.path, error.strerror or str(error)) from None
            if actual != file.sha256:
                raise DamagedModelError(name, file.path, f"sha256 is {actual}, not {file.sha256}")
            before += file.size_bytes
        return models

    def misfits(self) -> tuple[DamagedModelError, ...]:
        """Files that are missing or not as long as they were, and headers that cannot be read. `verify` reads all."""
        found = []
        for path in sorted(self._layout.names()):
            try:
                record = decode_name(path.read_bytes(), str(path))
                manifest = self._manifest(record.artifact_id)
            except (OSError, DamagedRecordError, ModelNotFoundError):
                continue  # `damaged` has it, or it was removed meanwhile
            wrong = [(file.path, reason) for file in manifest.files if (reason := self._misfit(manifest, file))]
            if not wrong and (reason := self._unreadable(manifest)):
                wrong = [(manifest.files[0].path, reason)]
            found += [DamagedModelError(record.name, file, reason) for file, reason in wrong]
        return tuple(found)

    def remove(self, name: str, format: ArtifactFormat | None = None) -> int:
        """Forget a name, or one format of it, and free what nothing else needs. Returns the freed bytes.

        Raises ModelNotFoundError.
        """
        models = self.artifacts(name, format)
        with exclusive(self._layout.lock):
            for model in models:
                self._layout.name(model.name, model.artifact.format).unlink(missing_ok=True)
            return self._sweep()

    def _entries(self) -> Iterator[StoredModel | DamagedRecordError]:
        for path in sorted(self._layout.names()):
            try:
                model = self._load(path)
            except DamagedRecordError as error:
                yield error
            else:
                if model is not None:
                    yield model

    def _load(self, path: Path) -> StoredModel | None:
        try:
            record = decode_name(path.read_bytes(), str(path))
            manifest = self._manifest(record.artifact_id)
        except FileNotFoundError:
            return None
        except ModelNotFoundError:
            if path.exists():
                raise DamagedRecordError(str(path), "its manifest is missing") from None
            return None  # removed between the two reads
        return stored_of(record, manifest, cached_spec(manifest) or self._read_again(manifest))

    def _manifest(self, artifact_id: ArtifactId) -> Manifest:
        path = self._layout.manifest(artifact_id)
        try:
            return decode_manifest(path.read_bytes(), str(path))
        except FileNotFoundError:
            raise ModelNotFoundError(artifact_id, ()) from None

    def _read_again(self, manifest: Manifest) -> ModelSpec:
        """The spec was written by another version of the reader: take it from the blobs, and remember it."""
        try:
            spec = self._read(manifest)
        except (OSError, ModelFileError) as error:
            raise DamagedRecordError(str(self._layout.view(manifest.artifact_id)), str(error)) from None
        with exclusive(self._layout.lock):
            if self._layout.manifest(manifest.artifact_id).exists():
                self._write_manifest(manifest_of(manifest.format, manifest.files, spec))
        return spec

    def _read(self, manifest: Manifest) -> ModelSpec:
        """From the headers. Raises OSError, ModelFileError."""
        view = self._layout.view(manifest.artifact_id)
        _, spec = read_model(str(view), [Incoming(view / file.path, file.path, file.role) for file in manifest.files])
        return spec

    def _commit(
        self, staged: Sequence[Staged], manifest: Manifest, spec: ModelSpec, origin: Origin, name: ModelName
    ) -> StoredModel:
        """Under the lock: blobs, manifest, links, and the name last."""
        present = self.find(name, manifest.format)
        if present is not None and present.artifact.artifact_id != manifest.artifact_id:
            raise NameTakenError(name, present.artifact.artifact_id)
        for other in (self.find(name, format) for format in FORMATS):
            if other is not None and other.artifact.spec.embedding_size != spec.embedding_size:
                raise NameTakenError(name, other.artifact.artifact_id)  # another format, but of another model
        for item in staged:
            self._place(item)
        sync_directory(self._layout.blobs)
        self._write_manifest(manifest)
        self._link(manifest)
        if present is not None:
            return present
        record = NameRecord(
            schema=SCHEMA_VERSION,
            name=name,
            artifact_id=manifest.artifact_id,
            source=origin.source,
            revision=origin.revision or manifest.artifact_id[:12],
            created_s=int(self._clock.wall_s()),
        )
        write_atomically(self._layout.name(name, manifest.format), encode(record))
        return stored_of(record, manifest, spec)

    def _place(self, item: Staged) -> None:
        """Also replaces a blob that is there: the staged bytes were hashed a moment ago, the others long ago."""
        item.path.chmod(0o444)
        item.path.replace(self._layout.blob(item.file))

    def _write_manifest(self, manifest: Manifest) -> None:
        write_atomically(self._layout.manifest(manifest.artifact_id), encode(manifest))

    def _link(self, manifest: Manifest) -> None:
        for file in manifest.files:
            link = self._layout.view(manifest.artifact_id) / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(self._layout.blob(file), link.parent))

    def _misfit(self, manifest: Manifest, file: ArtifactFile) -> str:
        try:
            size = self._layout.blob(file).stat().st_size
        except OSError as error:
            return error.strerror or str(error)
        if size != file.size_bytes:
            return f"{size} bytes, where it had {file.size_bytes}"
        opened = self._layout.view(manifest.artifact_id) / file.path
        return "" if opened.exists() else f"nothing leads to it from {opened}"

    def _unreadable(self, manifest: Manifest) -> str:
        try:
            self._read(manifest)
        except (OSError, ModelFileError) as error:
            return str(error)
        return ""

    def _sweep(self) -> int:
        """Under the lock: delete what no name leads to, and leftovers of imports that died. Returns the freed bytes."""
        if self.damaged():
            return 0  # an unreadable record may lead to anything
        wanted = {self._artifact_of(path) for path in self._layout.names()}
        kept: set[str] = set()
        for path in self._layout.manifests():
            if path.stem in wanted:
                kept.update(file.sha256 for file in decode_manifest(path.read_bytes(), str(path)).files)
            else:
                shutil.rmtree(self._layout.view(ArtifactId(path.stem)), ignore_errors=True)  # links only
                path.unlink()
        freed = 0
        for blob in self._layout.blobs.iterdir():
            if blob.name not in kept:
                freed += blob.stat().st_size
                blob.unlink()
        sweep_incoming(self.root)
        return freed

    def _artifact_of(self, name_path: Path) -> ArtifactId:
        return decode_name(name_path.read_bytes(), str(name_path)).artifact_id

    def free_bytes(self) -> int:
        return self._free(self.root)

    @property
    def downloads(self) -> Path:
        """Where sources may lay files on the store's own disk before they are admitted."""
        return self._layout.downloads


def _check_paths(files: Sequence[Incoming], origin: Origin) -> None:
    """Names may come from a hub or another node; each becomes a path below the artifact's directory."""
    names = [file.name for file in files]
    for name in names:
        if not is_plain_path(name):
            raise UnusableModelError(origin.source, f"{name!r} is no plain relative path")
    if len(set(names)) != len(names):
        raise UnusableModelError(origin.source, "it names a file twice")
