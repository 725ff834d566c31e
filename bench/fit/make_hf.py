"""Make a folder of safetensors with random weights from a config.json. A script of an engine environment.

It imports nothing of potluck, because that environment does not have it. The tensors are those that published models
of the family have, by name and shape, so that every engine loads the folder as it would load the real thing. Weights
are drawn anew for each tensor, from a generator seeded with its name: the same config gives the same folder.
"""

import argparse
import json
import shutil
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SEED = 4
SPREAD = 0.02  # small, so that no activation overflows in half precision
TIME_STEP = -4.6  # softplus of it is 0.01: a state that remembers some hundred tokens
ALSO = ("tokenizer_config.json", "generation_config.json", "chat_template.jinja")

Config = dict[str, Any]
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def layer_names(config: Config) -> Iterator[tuple[int, str]]:
    return ((number, f"model.layers.{number}.") for number in range(config["num_hidden_layers"]))


def around(config: Config, last_norm: str = "model.norm.weight") -> Shapes:
    """What is not part of a layer."""
    width = config["hidden_size"]
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    yield last_norm, (width,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], width)


def attention(config: Config, prefix: str, output: str = "o_proj", norms: str = "") -> Shapes:
    """Queries, keys and values of whole heads; `norms` names those of a head, where the family has them."""
    width, heads, own = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or width // heads
    yield f"{prefix}self_attn.q_proj.weight", (heads * size, width)
    yield f"{prefix}self_attn.k_proj.weight", (own * size, width)
    yield f"{prefix}self_attn.v_proj.weight", (own * size, width)
    yield f"{prefix}self_attn.{output}.weight", (width, heads * size)
    if norms:
        yield f"{prefix}self_attn.q_{norms}.weight", (size,)
        yield f"{prefix}self_attn.k_{norms}.weight", (size,)


def feed_forward(prefix: str, width: int, inner: int, names: tuple[str, str, str]) -> Shapes:
    gate, up, down = names
    yield f"{prefix}{gate}.weight", (inner, width)
    yield f"{prefix}{up}.weight", (inner, width)
    yield f"{prefix}{down}.weight", (width, inner)


PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def dense(config: Config) -> Shapes:
    """Llama, Qwen3 (with norms of queries and keys) and Gemma 3 (with norms after each part as well)."""
    kind, width = config["model_type"], config["hidden_size"]
    norms = ["input_layernorm", "post_attention_layernorm"]
    if kind == "gemma3_text":
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    yield from around(config)
    for _, layer in layer_names(config):
        yield from attention(config, layer, norms="" if kind == "llama" else "norm")
        yield from feed_forward(f"{layer}mlp.", width, config["intermediate_size"], PROJECTIONS)
        for norm in norms:
            yield f"{layer}{norm}.weight", (width,)


def mixtral(config: Config) -> Shapes:
    width = config["hidden_size"]
    yield from around(config)
    for _, layer in layer_names(config):
        yield from attention(config, layer)
        yield f"{layer}block_sparse_moe.gate.weight", (config["num_local_experts"], width)
        for expert in range(config["num_local_experts"]):
            prefix = f"{layer}block_sparse_moe.experts.{expert}."
            yield from feed_forward(prefix, width, config["intermediate_size"], ("w1", "w3", "w2"))
        yield f"{layer}input_layernorm.weight", (width,)
        yield f"{layer}post_attention_layernorm.weight", (width,)


def deepseek(config: Config) -> Shapes:
    width = config["hidden_size"]
    yield from around(config)
    for number, layer in layer_names(config):
        yield from latent_attention(config, f"{layer}self_attn.")
        if number < config["first_k_dense_replace"]:
            yield from feed_forward(f"{layer}mlp.", width, config["intermediate_size"], PROJECTIONS)
        else:
            inner = config["moe_intermediate_size"]
            yield f"{layer}mlp.gate.weight", (config["n_routed_experts"], width)
            for expert in range(config["n_routed_experts"]):
                yield from feed_forward(f"{layer}mlp.experts.{expert}.", width, inner, PROJECTIONS)
            shared = inner * config["n_shared_experts"]
            yield from feed_forward(f"{layer}mlp.shared_experts.", width, shared, PROJECTIONS)
        yield f"{layer}input_layernorm.weight", (width,)
        yield f"{layer}post_attention_layernorm.weight", (width,)


def latent_attention(config: Config, prefix: str) -> Shapes:
    width, heads, rank = config["hidden_size"], config["num_attention_heads"], config["kv_lora_rank"]
    plain, turned, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    yield f"{prefix}q_a_proj.weight", (config["q_lora_rank"], width)
    yield f"{prefix}q_a_layernorm.weight", (config["q_lora_rank"],)
    yield f"{prefix}q_b_proj.weight", (heads * (plain + turned), config["q_lora_rank"])
    yield f"{prefix}kv_a_proj_with_mqa.weight", (rank + turned, width)
    yield f"{prefix}kv_a_layernorm.weight", (rank,)
    yield f"{prefix}kv_b_proj.weight", (heads * (plain + value), rank)
    yield f"{prefix}o_proj.weight", (width, heads * value)


def lfm2(config: Config) -> Shapes:
    width = config["hidden_size"]
    yield from around(config, "model.embedding_norm.weight")
    for number, layer in layer_names(config):
        if number in config["full_attn_idxs"]:
            yield from attention(config, layer, "out_proj", "layernorm")
        else:
            yield f"{layer}conv.in_proj.weight", (3 * width, width)
            yield f"{layer}conv.conv.weight", (width, 1, config["conv_L_cache"])
            yield f"{layer}conv.out_proj.weight", (width, width)
        yield from feed_forward(f"{layer}feed_forward.", width, config["block_ff_dim"], ("w1", "w3", "w2"))
        yield f"{layer}operator_norm.weight", (width,)
        yield f"{layer}ffn_norm.weight", (width,)


def granite(config: Config) -> Shapes:
    width, inner = config["hidden_size"], config["shared_intermediate_size"]
    yield from around(config)
    for number, layer in layer_names(config):
        if config["layer_types"][number] == "attention":
            yield from attention(config, layer)
        else:
            yield from mamba(config, f"{layer}mamba.")
        yield f"{layer}shared_mlp.input_linear.weight", (2 * inner, width)
        yield f"{layer}shared_mlp.output_linear.weight", (width, inner)
        yield f"{layer}input_layernorm.weight", (width,)
        yield f"{layer}post_attention_layernorm.weight", (width,)


def mamba(config: Config, prefix: str) -> Shapes:
    width, heads = config["hidden_size"], config["mamba_n_heads"]
    inner = heads * config["mamba_d_head"]
    convolved = inner + 2 * config["mamba_n_groups"] * config["mamba_d_state"]
    yield f"{prefix}in_proj.weight", (inner + convolved + heads, width)
    yield f"{prefix}conv1d.weight", (convolved, 1, config["mamba_d_conv"])
    yield f"{prefix}conv1d.bias", (convolved,)
    yield f"{prefix}A_log", (heads,)
    yield f"{prefix}D", (heads,)
    yield f"{prefix}dt_bias", (heads,)
    yield f"{prefix}norm.weight", (inner,)
    yield f"{prefix}out_proj.weight", (width, inner)


FAMILIES: dict[str, Callable[[Config], Shapes]] = {
    "llama": dense,
    "qwen3": dense,
    "gemma3_text": dense,
    "mixtral": mixtral,
    "deepseek_v2": deepseek,
    "lfm2": lfm2,
    "granitemoehybrid": granite,
}


def drawn(config: Config, name: str, shape: tuple[int, ...]) -> bytes:
    """One tensor's values, as bfloat16."""
    part = name.removesuffix(".weight")
    values: np.ndarray[Any, Any]
    if part.endswith("norm"):
        values = np.full(shape, 0 if config["model_type"] == "gemma3_text" else 1, np.float32)  # Gemma adds one
    elif part.endswith("A_log"):
        values = np.log(np.arange(1, shape[0] + 1, dtype=np.float32))
    elif part.endswith(".D"):
        values = np.ones(shape, np.float32)
    elif part.endswith("dt_bias"):
        values = np.full(shape, TIME_STEP, np.float32)
    else:
        values = np.random.default_rng((SEED, zlib.crc32(name.encode()))).standard_normal(shape, np.float32) * SPREAD
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def write_weights(config: Config, path: Path) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    total = 0
    shapes = dict(FAMILIES[config["model_type"]](config))
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [total, total + size]}
        total += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            file.write(drawn(config, name, shape))


def resized(tokenizer: Config, size: int) -> Config:
    """The first tokens of a byte-pair vocabulary and the merges among them, or all and padding after them."""
    model = tokenizer["model"]
    kept = {token: number for token, number in model["vocab"].items() if number < size}
    merges = [pair for pair in model["merges"] if all(text in kept for text in (*pair, "".join(pair)))]
    padding = {f"[PAD{number}]": number for number in range(len(kept), size)}
    return {**tokenizer, "model": {**model, "vocab": {**kept, **padding}, "merges": merges}}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True, help="a model folder whose tokenizer is taken")
    parser.add_argument("--target", type=Path, required=True, help="an empty folder")
    parser.add_argument("--config", required=True, help="the content of config.json")
    arguments = parser.parse_args(argv)
    source, target = arguments.source, arguments.target
    config = json.loads(arguments.config)
    (target / "config.json").write_text(json.dumps(config, indent=1))
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    text = json.dumps(resized(tokenizer, config["vocab_size"]), ensure_ascii=False)
    (target / "tokenizer.json").write_text(text, encoding="utf-8")
    for name in ALSO:
        shutil.copyfile(source / name, target / name)
    write_weights(config, target / "model.safetensors")


if __name__ == "__main__":
    main(sys.argv[1:])
