"""What the store writes down: manifests (which bytes make an artifact) and names (what people call it)."""

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

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
)
from inventory.gguf_spec import SPEC_VERSION

SCHEMA_VERSION = 1
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
    """No model of this name is on this machine. Handled by the command or order that named it."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        close = difflib.get_close_matches(name, tuple(known), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "`potluck models ls` lists what is"
        super().__init__(f"the model {name} is not on this machine; {hint}")
        self.name, self.suggestion = name, close[0] if close else None


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
        content = msgspec.json.encode({"format": self.format, "files": self.files}, order="sorted")
        return ArtifactId(hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class NameRecord:
    schema: int
    name: ModelName
    artifact_id: ArtifactId
    source: str
    revision: str
    created_s: int


def manifest_of(files: tuple[ArtifactFile, ...], spec: ModelSpec) -> Manifest:
    return Manifest(SCHEMA_VERSION, "gguf", files, SPEC_VERSION, msgspec.Raw(msgspec.json.encode(spec)))


def cached_spec(manifest: Manifest) -> ModelSpec | None:
    """The spec as this version of the reader wrote it, or None where it has to be read again."""
    if manifest.spec_version != SPEC_VERSION:
        return None
    try:
        return msgspec.json.decode(manifest.spec, type=ModelSpec)
    except msgspec.DecodeError:
        return None


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


def checked_name(name: str) -> ModelName:
    if not _NAME.fullmatch(name):
        raise InvalidNameError(name)
    return ModelName(name)


def name_to_file(name: str) -> str:
    """A file name that is safe everywhere; capitals are escaped too, because macOS folds case."""
    plain = "abcdefghijklmnopqrstuvwxyz0123456789._-"
    return "".join(c if c in plain else f"%{ord(c):02x}" for c in name) + ".json"


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
    )


def stored_of(record: NameRecord, manifest: Manifest, spec: ModelSpec) -> StoredModel:
    artifact = Artifact(record.artifact_id, manifest.format, record.source, record.revision, manifest.files, spec)
    return StoredModel(record.name, artifact, record.created_s)
