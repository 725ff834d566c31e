"""Turn a folder of safetensors in bfloat16 into a GGUF file, quantised where asked. A script of an engine environment.

It imports nothing of potluck, because that environment does not have it. It knows the families of this bench and no
others, and of their settings only those that the bench varies: it is no general converter.
"""

import argparse
import json
import re
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Array = np.ndarray[Any, Any]
Config = dict[str, Any]
Tensors = Iterator[tuple[str, Array]]

KEPT_EXACT = ("ffn_gate_inp", "ssm_norm")  # llama.cpp's own converter never quantises routers and norms
BLOCK = 32  # weights of a row that are quantised together; a convolution's rows are shorter
SPLITTER = "smollm"  # how the tokenizer that all folders share splits words
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mixtral": gguf.MODEL_ARCH.LLAMA,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "deepseek_v2": gguf.MODEL_ARCH.DEEPSEEK2,
    "lfm2": gguf.MODEL_ARCH.LFM2,
    "granitemoehybrid": gguf.MODEL_ARCH.GRANITE_HYBRID,
}


def read_tensors(path: Path) -> Tensors:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            file.seek(8 + length + first)
            bits = np.frombuffer(file.read(last - first), "<u2").astype(np.uint32) << 16
            yield name, bits.view(np.float32).reshape(entry["shape"])


def with_experts_stacked(tensors: Tensors, experts: int) -> Tensors:
    """One tensor for the same matrix of all experts of a layer."""
    waiting: dict[str, dict[int, Array]] = {}
    for name, values in tensors:
        found = re.fullmatch(r"(.*\.experts\.)(\d+)\.(.*)", name)
        if found is None:
            yield name, values
            continue
        stack = waiting.setdefault(found[1] + found[3], {})
        stack[int(found[2])] = values
        if len(stack) == experts:
            yield found[1] + found[3], np.stack([stack[number] for number in range(experts)])
            del waiting[found[1] + found[3]]


def rearranged(config: Config, name: str, values: Array) -> Tensors:
    """A tensor of the folder as what llama.cpp makes of it: the same, another one, or several."""
    kind = config["model_type"]
    if kind in ("llama", "mixtral") and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config["num_attention_heads" if name.endswith("q_proj.weight") else "num_key_value_heads"]
        yield name, interleaved(values, heads)
    elif kind == "mixtral" and ".experts." in name:
        yield name.replace("model.", "", 1).replace("block_sparse_moe", "feed_forward"), values
    elif kind == "gemma3_text" and name.endswith("norm.weight"):
        yield name, values + 1
    elif name.endswith("kv_b_proj.weight"):
        plain, value = config["qk_nope_head_dim"], config["v_head_dim"]
        heads = values.reshape(config["num_attention_heads"], plain + value, -1)
        yield name.replace("kv_b_proj", "k_b_proj"), heads[:, :plain].swapaxes(1, 2)
        yield name.replace("kv_b_proj", "v_b_proj"), heads[:, plain:]
    elif ".conv1d.weight" in name or ".conv.conv.weight" in name:
        yield name, values.squeeze(1)
    elif kind == "granitemoehybrid":
        yield from _granite(config, name, values)
    else:
        yield name, values


def interleaved(values: Array, heads: int) -> Array:
    """transformers keeps the two halves that rope turns one after the other; llama.cpp wants them side by side."""
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _granite(config: Config, name: str, values: Array) -> Tensors:
    if name.endswith("shared_mlp.input_linear.weight"):
        gate, up = np.split(values, 2)
        yield name.replace("shared_mlp.input_linear", "mlp.gate_proj"), gate
        yield name.replace("shared_mlp.input_linear", "mlp.up_proj"), up
    elif name.endswith("shared_mlp.output_linear.weight"):
        yield name.replace("shared_mlp.output_linear", "mlp.down_proj"), values
    elif name.endswith("A_log"):
        yield name, -np.exp(values).reshape(-1, 1)
    elif name.endswith(".D"):
        yield name, values.reshape(-1, 1)
    elif name.endswith("dt_bias"):
        yield name.replace("dt_bias", "dt_proj.bias"), values
    elif name.endswith("mamba.norm.weight"):
        yield name, values.reshape(config["mamba_n_groups"], -1)
    else:
        yield name, values


def write_shape(writer: Any, config: Config) -> None:
    """What all families say."""
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_head_count(heads)
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps") or config["norm_eps"])
    writer.add_rope_freq_base(float(config["rope_theta"]))
    if config["model_type"] == "deepseek_v2":
        write_latent(writer, config)
        return
    writer.add_head_count_kv(own_heads(config, layers))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)


def own_heads(config: Config, layers: int) -> int | list[int]:
    """A hybrid says for each layer how many it has: none where the layer keeps a state."""
    count: int = config["num_key_value_heads"]
    if config["model_type"] == "lfm2":
        return [count if layer in config["full_attn_idxs"] else 0 for layer in range(layers)]
    if config["model_type"] == "granitemoehybrid":
        return [count if kind == "attention" else 0 for kind in config["layer_types"]]
    return count


def write_latent(writer: Any, config: Config) -> None:
    rank, turned, scaling = config["kv_lora_rank"], config["qk_rope_head_dim"], config["rope_scaling"]
    writer.add_head_count_kv(1)
    writer.add_q_lora_rank(config["q_lora_rank"])
    writer.add_kv_lora_rank(rank)
    writer.add_key_length(rank + turned)
    writer.add_value_length(rank)
    writer.add_key_length_mla(config["qk_nope_head_dim"] + turned)
    writer.add_value_length_mla(config["v_head_dim"])
    writer.add_rope_dimension_count(turned)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(float(scaling["factor"]))
    writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_log_mul(0.1 * scaling["mscale_all_dim"])
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    writer.add_expert_count(config["n_routed_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_expert_weights_scale(float(config["routed_scaling_factor"]))
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SOFTMAX)


def _mixtral(writer: Any, config: Config) -> None:
    writer.add_expert_count(config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])


def _gemma(writer: Any, config: Config) -> None:
    writer.add_sliding_window(config["sliding_window"])


def _lfm2(writer: Any, config: Config) -> None:
    writer.add_shortconv_l_cache(config["conv_L_cache"])


def _hybrid(writer: Any, config: Config) -> None:
    writer.add_ssm_conv_kernel(config["mamba_d_conv"])
    writer.add_ssm_state_size(config["mamba_d_state"])
    writer.add_ssm_group_count(config["mamba_n_groups"])
    writer.add_ssm_inner_size(config["mamba_n_heads"] * config["mamba_d_head"])
    writer.add_ssm_time_step_rank(config["mamba_n_heads"])
    writer.add_rope_scaling_finetuned(False)  # llama.cpp reads it as: this hybrid turns nothing
    writer.add_attention_scale(config["attention_multiplier"])
    writer.add_embedding_scale(config["embedding_multiplier"])
    writer.add_residual_scale(config["residual_multiplier"])
    writer.add_logit_scale(config["logits_scaling"])


FURTHER: dict[str, Callable[[Any, Config], None]] = {
    "mixtral": _mixtral,
    "gemma3_text": _gemma,
    "lfm2": _lfm2,
    "granitemoehybrid": _hybrid,
}


def write_tokenizer(writer: Any, folder: Path, config: Config) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(SPLITTER)
    writer.add_token_list(tokens)
    writer.add_token_types([token_type(token, special) for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def token_type(token: str, special: set[str]) -> int:
    if token in special:
        return int(gguf.TokenType.CONTROL)
    return int(gguf.TokenType.UNUSED if re.fullmatch(r"\[PAD\d+\]", token) else gguf.TokenType.NORMAL)


def add_weights(writer: Any, folder: Path, config: Config, wanted: Any) -> None:
    names = gguf.get_tensor_name_map(ARCHITECTURES[config["model_type"]], config["num_hidden_layers"])
    experts = config.get("num_local_experts") or config.get("n_routed_experts") or 0
    exact = gguf.GGMLQuantizationType.F32
    for source, whole in with_experts_stacked(read_tensors(folder / "model.safetensors"), experts):
        for name, values in rearranged(config, source, whole):
            target = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if target is None:
                raise SystemExit(f"{source} has no name in GGUF")
            small = values.ndim == 1 or values.shape[-1] % BLOCK
            kind = exact if small or any(word in target for word in KEPT_EXACT) else wanted
            writer.add_tensor(target, gguf.quants.quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True, help="a folder that make_hf.py wrote, or one like it")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--type", required=True, choices=("F16", "BF16", "Q8_0", "Q4_0"))
    arguments = parser.parse_args(argv)
    config = json.loads((arguments.source / "config.json").read_text())
    wanted = gguf.GGMLQuantizationType[arguments.type]
    writer = gguf.GGUFWriter(arguments.target, gguf.MODEL_ARCH_NAMES[ARCHITECTURES[config["model_type"]]])
    writer.add_file_type(int(gguf.LlamaFileType[f"MOSTLY_{arguments.type}"]))
    write_shape(writer, config)
    if further := FURTHER.get(config["model_type"]):
        further(writer, config)
    write_tokenizer(writer, arguments.source, config)
    add_weights(writer, arguments.source, config, wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1:])
