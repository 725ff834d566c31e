"""Small model folders for tests: safetensors with a few bytes of weights, a config and a tokenizer."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

Shapes = Mapping[str, tuple[str, Sequence[int]]]
BYTES = {"F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "U8": 1, "I8": 1, "U32": 4, "I32": 4, "I64": 8}

LLAMA: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "vocab_size": 32,
}
TENSORS: Shapes = {
    "model.embed_tokens.weight": ("BF16", (32, 64)),
    "model.layers.0.self_attn.k_proj.weight": ("BF16", (32, 64)),
    "model.layers.1.self_attn.k_proj.weight": ("BF16", (32, 64)),
    "lm_head.weight": ("BF16", (32, 64)),
}


def safetensors_bytes(tensors: Shapes, written_as: str | None = "pt") -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": written_as}} if written_as else {}
    start = 0
    for name, (dtype, shape) in tensors.items():
        end = start + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(start)


def write_folder(
    directory: Path,
    config: Mapping[str, object] | None = None,
    tensors: Shapes | None = None,
    written_as: str | None = "pt",
    template: str | None = "{{ messages }}",
) -> Path:
    """A model in one file of weights. `config` is laid over LLAMA; None as a value removes a key."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in {**LLAMA, **(config or {})}.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(settings))
    (directory / "tokenizer.json").write_text('{"model": {"vocab": {}}}')
    (directory / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    (directory / "model.safetensors").write_bytes(safetensors_bytes(tensors or TENSORS, written_as))
    return directory


def write_sharded(directory: Path, parts: int, tensors: Shapes = TENSORS) -> Path:
    """The same in several files, joined by an index."""
    write_folder(directory)
    (directory / "model.safetensors").unlink()
    weight_map: dict[str, str] = {}
    names = list(tensors)
    for number in range(parts):
        file = f"model-{number + 1:05d}-of-{parts:05d}.safetensors"
        held = {name: tensors[name] for name in names[number::parts]}
        (directory / file).write_bytes(safetensors_bytes(held))
        weight_map |= dict.fromkeys(held, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return directory
