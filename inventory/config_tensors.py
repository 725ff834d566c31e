"""What the tensors of a model folder tell by their names and shapes, whichever family they belong to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inventory.safetensors_header import SafeTensor

_LAYER = re.compile(r"(?P<before>.*?)(?:^|\.)(?:layers|layer|h|blocks)\.(?P<number>\d{1,5})\.(?P<part>.+)")
_OTHER_MODELS = re.compile(r"vision|visual|vit\b|image|audio|speech|mtp|draft|eagle|multi_modal", re.IGNORECASE)
_STATE = re.compile(
    r"(^|\.)(A_log|conv1d|conv_1d|[qkv]_conv1d|conv\.conv|short_conv|linear_attn|mamba|time_mix|ssm)(\.|$)"
)
_ATTENTION = re.compile(
    r"(^|\.)(k_proj|kv_b_proj|kv_a_proj_with_mqa|kv_proj|qkv_proj|qkv|query_key_value|Wqkv|wqkv|c_attn|key)\."
)
_KEYS = re.compile(r"(^|\.)(self_attn|self_attention|attn|attention|mixer)\.k_proj\.weight$")
_NORMS = re.compile(r"(^|\.)k_norm\.weight$")


@dataclass(frozen=True, slots=True)
class LayerTensors:
    """For each layer. `key_rows` are the elements that all its keys of one token take; None where no tensor tells."""

    has_state: tuple[bool, ...]
    has_attention: tuple[bool, ...]
    key_rows: tuple[int | None, ...]
    key_norm_size: int | None  # of the first layer that normalises its keys

    @property
    def only_state(self) -> tuple[bool, ...]:
        return tuple(s and not a for s, a in zip(self.has_state, self.has_attention, strict=True))


def layer_tensors(tensors: Sequence[SafeTensor], layers: int) -> LayerTensors:
    """Only the language model's layers: encoders of images and sound, and draft layers, have names of their own."""
    state, attention = set[int](), set[int]()
    rows: dict[int, int] = {}
    norm: int | None = None
    for tensor in tensors:
        found = _LAYER.fullmatch(tensor.name)
        if found is None or int(found["number"]) >= layers or _OTHER_MODELS.search(found["before"]):
            continue
        number, part = int(found["number"]), found["part"]
        if _STATE.search(part):
            state.add(number)
        elif _ATTENTION.search(part):
            attention.add(number)
            if _KEYS.search(part) and len(tensor.shape) == 2 and tensor.shape[1] > 1:  # bitsandbytes packs all in one
                rows[number] = tensor.shape[0]
        elif norm is None and _NORMS.search(part) and len(tensor.shape) == 1:
            norm = tensor.shape[0]
    return LayerTensors(
        has_state=tuple(layer in state for layer in range(layers)),
        has_attention=tuple(layer in attention for layer in range(layers)),
        key_rows=tuple(rows.get(layer) for layer in range(layers)),
        key_norm_size=norm,
    )
