"""Models without weights: the shape that everybody knows, and store records that no blob stands behind.

A node that holds such a record reports it like any other, so that fit and placement decide on it. Nothing can be
served of it but by an engine that opens no file: `potluck models verify` says that it is damaged, which is true.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from inventory.catalog import (
    ArtifactFile,
    ArtifactFormat,
    AttentionShape,
    Capability,
    ModelName,
    ModelShape,
    ModelSpec,
)
from inventory.known_models import UnknownModelError, known_model
from inventory.store_files import write_atomically
from inventory.store_layout import StoreLayout
from inventory.store_records import SCHEMA_VERSION, NameRecord, encode, manifest_of

REVISION = "simulated"
_ENDINGS: dict[ArtifactFormat, str] = {"gguf": "gguf", "mlx": "safetensors", "safetensors": "safetensors"}

# BAAI/bge-m3, by its public config.json: an encoder for vectors, here in 8 bits.
BGE_M3 = ModelShape(
    architecture="bert",
    layers=24,
    embedding_size=1024,
    vocabulary_size=250_002,
    context_length=8192,
    attention=AttentionShape(16, (16,) * 24, 64, 64, None, (), None, None, causal=False),
    recurrent=None,
    experts=None,
    quantisation="q8_0",
    weight_bytes=567_754_752 * 17 // 16,
)


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """One artifact of a model."""

    name: ModelName
    format: ArtifactFormat
    spec: ModelSpec


def writing_model(name: str, format: ArtifactFormat, quantisation: str) -> DescribedModel:
    """One that is known by name. Raises UnknownModelError, UnknownQuantisationError."""
    known = known_model(name)
    if known is None:
        raise UnknownModelError(name, ())
    spec = _spec(known.shape(quantisation), known.parameters, frozenset({"chat", "completion"}))
    return DescribedModel(ModelName(name), format, spec)


def vector_model(name: str, format: ArtifactFormat, shape: ModelShape, parameters: int) -> DescribedModel:
    return DescribedModel(ModelName(name), format, _spec(shape, parameters, frozenset({"embed"})))


def write_records(store: Path, models: Iterable[DescribedModel], created_s: int) -> None:
    """Into a store of its own: an artifact of the same name and format is replaced."""
    layout = StoreLayout(store)
    layout.prepare()
    for model in models:
        told = f"simulated weights of {model.name}, {model.format}, {model.spec.quantisation}"
        digest = hashlib.sha256(told.encode()).hexdigest()
        path = f"simulated.{_ENDINGS[model.format]}"
        manifest = manifest_of(model.format, (ArtifactFile(path, model.spec.weight_bytes, digest),), model.spec)
        source = f"simulated:{model.name}"
        record = NameRecord(SCHEMA_VERSION, model.name, manifest.artifact_id, source, REVISION, created_s)
        write_atomically(layout.manifest(manifest.artifact_id), encode(manifest))
        write_atomically(layout.name(model.name, model.format), encode(record))


def _spec(shape: ModelShape, parameters: int, capabilities: frozenset[Capability]) -> ModelSpec:
    return ModelSpec(
        **{field.name: getattr(shape, field.name) for field in fields(ModelShape)},
        display_name=None,
        parameters=parameters,
        tied_embeddings=None,
        licence=None,
        chat_template=None,
        template_hash=None,
        tokenizer_hash=None,
        capabilities=capabilities,
    )
