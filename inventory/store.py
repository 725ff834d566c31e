"""The local model store: content-addressed blobs, manifests that name their bytes, and names that people use.

    blobs/SHA256              one file's bytes, read-only
    manifests/ARTIFACT.json   which blobs make an artifact, and its spec as read from them
    artifacts/ARTIFACT/NAME   links to the blobs under the files' own names, which is what an engine opens
    names/NAME.json           what a person calls it, where it came from, and since when it is here
    incoming/, downloads/     bytes that are not part of the store yet

A name is written last and removed first, so whatever a crash leaves behind is unreachable, and is swept later.
Readers take no lock; every change is made under one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inventory.catalog import ArtifactFile, ArtifactId, HeldModel, ModelName, ModelSpec, StoredModel
from inventory.clock import Clock
from inventory.disk_space import free_bytes
from inventory.gguf_file import read_spec
from inventory.gguf_header import GgufError
from inventory.incoming import Incoming, Staged, stage, sweep_incoming
from inventory.model_files import find_model_files
from inventory.progress import Progress, silent
from inventory.store_files import exclusive, hash_file, sync_directory, write_atomically
from inventory.store_records import (
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
    manifest_of,
    name_to_file,
    stored_of,
)


class NameTakenError(Exception):
    """The name belongs to other bytes. Handled by the command that wanted to give it."""

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
        self._clock, self._free = clock, free

    def list(self) -> tuple[StoredModel, ...]:
        """All models by name, without those whose records cannot be read: see `damaged`."""
        return tuple(entry for entry in self._entries() if isinstance(entry, StoredModel))

    def damaged(self) -> tuple[DamagedRecordError, ...]:
        """What is wrong with the store's records, for the operator."""
        return tuple(entry for entry in self._entries() if isinstance(entry, DamagedRecordError))

    def held(self) -> tuple[HeldModel, ...]:
        """What this machine tells the cluster about its models; reads records, never blobs."""
        return tuple(held_of(model) for model in self.list())

    def get(self, name: str) -> StoredModel:
        """Raises ModelNotFoundError, DamagedRecordError."""
        model = self._load(self._name_path(name))
        if model is None:
            raise ModelNotFoundError(name, (model.name for model in self.list()))
        return model

    def find(self, artifact_id: ArtifactId) -> StoredModel | None:
        """The model of this content; the first by name where it has several."""
        return next((model for model in self.list() if model.artifact.artifact_id == artifact_id), None)

    def files(self, artifact_id: ArtifactId) -> tuple[Path, ...]:
        """Paths that an engine can open, under the files' own names. Raises ModelNotFoundError."""
        return tuple(self._view(artifact_id) / file.path for file in self._manifest(artifact_id).files)

    def main_file(self, artifact_id: ArtifactId) -> Path:
        """The file that an engine is given: the model's first part."""
        return self.files(artifact_id)[0]

    def projector_file(self, artifact_id: ArtifactId) -> Path | None:
        files = self._manifest(artifact_id).files
        return next((self._view(artifact_id) / file.path for file in files if file.role == "projector"), None)

    def import_path(self, path: Path, name: str, progress: Progress = silent) -> StoredModel:
        """Take in a file, all parts of a split model, or a directory. The originals are left alone.

        Raises UnusableModelError, GgufError, DiskFullError, NameTakenError, InvalidNameError, OSError.
        """
        found = find_model_files(path)
        incoming = [Incoming(file.resolve(strict=True), file.name) for file in found.weights]
        if found.projector is not None:
            incoming.append(Incoming(found.projector.resolve(strict=True), found.projector.name, "projector"))
        return self.admit(incoming, Origin(f"file:{found.weights[0].name}"), name, progress)

    def admit(self, files: Sequence[Incoming], origin: Origin, name: str, progress: Progress = silent) -> StoredModel:
        """Take in files whose roles are known, weights first and in order.

        Raises HashMismatchError, and what import_path raises.
        """
        checked = checked_name(name)
        self._prepare()
        if all(file.sha256 is None for file in files):  # else the hash tells a bad file better than its header does
            _spec_of(files)
        with stage(self.root, files, self.free_bytes(), progress) as staged:
            spec = _spec_of([Incoming(item.path, item.file.path, item.file.role) for item in staged])
            with exclusive(self._lock):
                return self._commit(staged, spec, origin, checked)

    def verify(self, name: str, progress: Progress = silent) -> StoredModel:
        """Hash every byte again. Raises DamagedModelError for the first file that changed, ModelNotFoundError."""
        model = self.get(name)
        total, before = model.artifact.size_bytes, 0
        for file in model.artifact.files:
            start = before
            try:
                actual = hash_file(self._blob(file), lambda done, _, start=start: progress(start + done, total))
            except OSError as error:
                raise DamagedModelError(name, file.path, error.strerror or str(error)) from None
            if actual != file.sha256:
                raise DamagedModelError(name, file.path, f"sha256 is {actual}, not {file.sha256}")
            before += file.size_bytes
        return model

    def remove(self, name: str) -> int:
        """Forget a name, and free what no other name needs. Returns the freed bytes. Raises ModelNotFoundError."""
        model = self.get(name)
        with exclusive(self._lock):
            self._name_path(model.name).unlink(missing_ok=True)
            return self._sweep()

    def _entries(self) -> Iterator[StoredModel | DamagedRecordError]:
        for path in sorted((self.root / "names").glob("[!.]*.json")):
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
        path = self._manifest_path(artifact_id)
        try:
            return decode_manifest(path.read_bytes(), str(path))
        except FileNotFoundError:
            raise ModelNotFoundError(artifact_id, ()) from None

    def _read_again(self, manifest: Manifest) -> ModelSpec:
        """The spec was written by another version of the reader: take it from the blobs, and remember it."""
        view = self._view(manifest.artifact_id)
        try:
            spec = _spec_of([Incoming(view / file.path, file.path, file.role) for file in manifest.files])
        except (OSError, GgufError) as error:
            raise DamagedRecordError(str(view), str(error)) from None
        with exclusive(self._lock):
            if self._manifest_path(manifest.artifact_id).exists():
                self._write_manifest(manifest_of(manifest.files, spec))
        return spec

    def _commit(self, staged: Sequence[Staged], spec: ModelSpec, origin: Origin, name: ModelName) -> StoredModel:
        """Under the lock: blobs, manifest, links, and the name last."""
        manifest = manifest_of(tuple(item.file for item in staged), spec)
        present = self._load(self._name_path(name))
        if present is not None and present.artifact.artifact_id != manifest.artifact_id:
            raise NameTakenError(name, present.artifact.artifact_id)
        for item in staged:
            self._place(item)
        sync_directory(self.root / "blobs")
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
        write_atomically(self._name_path(name), encode(record))
        return stored_of(record, manifest, spec)

    def _place(self, item: Staged) -> None:
        """Also replaces a blob that is there: the staged bytes were hashed a moment ago, the others long ago."""
        item.path.chmod(0o444)
        item.path.replace(self._blob(item.file))

    def _write_manifest(self, manifest: Manifest) -> None:
        write_atomically(self._manifest_path(manifest.artifact_id), encode(manifest))

    def _link(self, manifest: Manifest) -> None:
        for file in manifest.files:
            link = self._view(manifest.artifact_id) / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(self._blob(file), link.parent))

    def _sweep(self) -> int:
        """Under the lock: delete what no name leads to, and leftovers of imports that died. Returns the freed bytes."""
        if self.damaged():
            return 0  # an unreadable record may lead to anything
        wanted = {self._artifact_of(path) for path in (self.root / "names").glob("[!.]*.json")}
        kept: set[str] = set()
        for path in (self.root / "manifests").glob("[!.]*.json"):
            if path.stem in wanted:
                kept.update(file.sha256 for file in decode_manifest(path.read_bytes(), str(path)).files)
            else:
                self._unlink_view(ArtifactId(path.stem))
                path.unlink()
        freed = 0
        for blob in (self.root / "blobs").iterdir():
            if blob.name not in kept:
                freed += blob.stat().st_size
                blob.unlink()
        sweep_incoming(self.root)
        return freed

    def _artifact_of(self, name_path: Path) -> ArtifactId:
        return decode_name(name_path.read_bytes(), str(name_path)).artifact_id

    def _unlink_view(self, artifact_id: ArtifactId) -> None:
        view = self._view(artifact_id)
        for link in view.iterdir() if view.is_dir() else ():
            link.unlink()
        if view.is_dir():
            view.rmdir()

    def _prepare(self) -> None:
        for name in ("blobs", "manifests", "artifacts", "names", "incoming"):
            (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def free_bytes(self) -> int:
        return self._free(self.root)

    @property
    def downloads(self) -> Path:
        """Where sources may lay files on the store's own disk before they are admitted."""
        return self.root / "downloads"

    @property
    def _lock(self) -> Path:
        return self.root / ".lock"

    def _blob(self, file: ArtifactFile) -> Path:
        return self.root / "blobs" / file.sha256

    def _view(self, artifact_id: ArtifactId) -> Path:
        return self.root / "artifacts" / artifact_id

    def _manifest_path(self, artifact_id: ArtifactId) -> Path:
        return self.root / "manifests" / f"{artifact_id}.json"

    def _name_path(self, name: str) -> Path:
        return self.root / "names" / name_to_file(name)


def _spec_of(files: Sequence[Incoming]) -> ModelSpec:
    weights = [file.path for file in files if file.role == "weights"]
    return read_spec(weights, next((file.path for file in files if file.role == "projector"), None))
