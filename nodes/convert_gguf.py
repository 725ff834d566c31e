"""Turn a GGUF file of the llama family into a folder of safetensors in bfloat16. A script of an engine environment.

It imports nothing of potluck, because that environment does not have it. Tensors pass through memory one at a time,
so that a model may be larger than memory. What it does not know exactly it refuses: a tensor with another name, a rope
that is scaled, a tokenizer that splits words in another way would all give a model that answers, and answers wrongly.

The last line of stderr says why it failed; each line of stdout says how far it is: DONE TOTAL, in bytes.
"""

import argparse
import json
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

CONTROL, USER_DEFINED = 3, 4  # token types that are no text

_FIXED = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_BYTES: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_DIGITS: dict[str, Any] = {"type": "Digits", "individual_digits": True}
_SPLITTERS: dict[str, dict[str, Any]] = {  # by tokenizer.ggml.pre
    "default": _BYTES,
    "gpt-2": _BYTES,
    "smollm": {"type": "Sequence", "pretokenizers": [_DIGITS, _BYTES]},
}


class RefusedError(Exception):
    """This file cannot be converted without guessing."""


class Source:
    """The GGUF file: its fields, and its tensors under their names in safetensors."""

    def __init__(self, path: Path) -> None:
        self._reader = gguf.GGUFReader(path)
        self.architecture = self.required("general.architecture")
        if self.architecture != "llama":
            raise RefusedError(f"it is a {self.architecture} model, and only those of the llama family are converted")
        if (self.field("split.count") or 1) > 1:
            raise RefusedError("it is in several parts; join them with llama-gguf-split first")
        for key in self._reader.fields:
            if key.startswith(("llama.rope.scaling.", "llama.expert_")) and self.field(key) not in (0, "none"):
                raise RefusedError(f"it sets {key}, which is not converted")
        self.heads = int(self.required("llama.attention.head_count"))
        self.kv_heads = int(self.field("llama.attention.head_count_kv") or self.heads)
        self.tensors = {_renamed(tensor.name): tensor for tensor in self._reader.tensors}

    def field(self, key: str) -> Any:
        found = self._reader.get_field(key)
        return None if found is None else found.contents()

    def required(self, key: str) -> Any:
        value = self.field(key)
        if value is None:
            raise RefusedError(f"it does not say {key}")
        return value

    def shape(self, name: str) -> list[int]:
        return [int(size) for size in reversed(self.tensors[name].shape)]

    def bfloat16(self, name: str) -> bytes:
        tensor = self.tensors[name]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(self.shape(name))
        if name.endswith("q_proj.weight"):
            values = _unpermuted(values, self.heads)
        elif name.endswith("k_proj.weight"):
            values = _unpermuted(values, self.kv_heads)
        return _rounded(values)


def _renamed(name: str) -> str:
    if name in _FIXED:
        return _FIXED[name]
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if layer is None or layer[2] not in _LAYER:
        raise RefusedError(f"it holds {name}, which has no place in a llama model")
    return f"model.layers.{layer[1]}.{_LAYER[layer[2]]}.weight"


def _unpermuted(values: "np.ndarray[Any, Any]", heads: int) -> "np.ndarray[Any, Any]":
    """GGUF keeps the two halves that rope turns side by side; transformers keeps them one after the other."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _rounded(values: "np.ndarray[Any, Any]") -> bytes:
    """To the nearest bfloat16, ties to even: its bits are the upper half of a float32's."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    if not np.isfinite(values).all():
        raise RefusedError("it holds a weight that is no number")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def write_weights(source: Source, path: Path) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    total = 0
    for name in source.tensors:
        size = 2 * int(np.prod(source.shape(name)))
        header[name] = {"dtype": "BF16", "shape": source.shape(name), "data_offsets": [total, total + size]}
        total += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    done = 0
    with path.open("xb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in source.tensors:
            done += file.write(source.bfloat16(name))
            print(done, total, flush=True)  # noqa: T201  stdout is the progress


def config_of(source: Source) -> dict[str, Any]:
    size = int(source.required("llama.embedding_length"))
    theta = float(source.field("llama.rope.freq_base") or 10000.0)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "hidden_size": size,
        "intermediate_size": int(source.required("llama.feed_forward_length")),
        "num_hidden_layers": int(source.required("llama.block_count")),
        "num_attention_heads": source.heads,
        "num_key_value_heads": source.kv_heads,
        "head_dim": int(source.field("llama.attention.key_length") or size // source.heads),
        "max_position_embeddings": int(source.required("llama.context_length")),
        "rms_norm_eps": float(source.required("llama.attention.layer_norm_rms_epsilon")),
        "rope_parameters": {"rope_theta": theta, "rope_type": "default"},
        "rope_theta": theta,  # mlx-lm reads this one only, and silently takes 10000 where it is missing
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "lm_head.weight" not in source.tensors,
        "vocab_size": source.shape("model.embed_tokens.weight")[0],
        "bos_token_id": source.field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": source.field("tokenizer.ggml.eos_token_id"),
        "pad_token_id": source.field("tokenizer.ggml.padding_token_id"),
    }


def tokenizer_of(source: Source) -> dict[str, Any]:
    """The same tokens from the same text as llama.cpp makes, so the splitter must be one that is known."""
    kind, splitter = source.required("tokenizer.ggml.model"), source.field("tokenizer.ggml.pre") or "default"
    if kind != "gpt2" or splitter not in _SPLITTERS:
        raise RefusedError(f"its tokenizer is {kind}, split as {splitter}, which is not converted")
    tokens, types = source.required("tokenizer.ggml.tokens"), source.required("tokenizer.ggml.token_type")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(number, token, kind)
            for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
            if kind in (CONTROL, USER_DEFINED)
        ],
        "normalizer": None,
        "pre_tokenizer": _SPLITTERS[splitter],
        "post_processor": _beginning(source, tokens),
        "decoder": _BYTES,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in source.required("tokenizer.ggml.merges")],
        },
    }


def _added(number: int, token: str, kind: int) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": token, **plain, "special": kind == CONTROL}


def _beginning(source: Source, tokens: list[str]) -> dict[str, Any]:
    """Puts the beginning token before a text, where the model wants one."""
    if not source.field("tokenizer.ggml.add_bos_token"):
        return {**_BYTES, "trim_offsets": False}
    number = int(source.required("tokenizer.ggml.bos_token_id"))
    token = tokens[number]
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    texts = [{"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB")]
    special = {token: {"id": token, "ids": [number], "tokens": [token]}}
    single, pair = [first, texts[0]], [first, *texts]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def tokenizer_config_of(source: Source) -> dict[str, Any]:
    tokens = source.required("tokenizer.ggml.tokens")
    named = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    chosen = {name: source.field(f"tokenizer.ggml.{key}_token_id") for name, key in named.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": int(source.required("llama.context_length")),
        "clean_up_tokenization_spaces": False,
        **{name: tokens[number] for name, number in chosen.items() if number is not None},
    }


def _settings(source: Source) -> Iterator[tuple[str, str]]:
    config = config_of(source)
    ends = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    yield "config.json", json.dumps(config, indent=1)
    yield "generation_config.json", json.dumps({name: end for name, end in ends.items() if end is not None}, indent=1)
    yield "tokenizer.json", json.dumps(tokenizer_of(source), ensure_ascii=False)
    yield "tokenizer_config.json", json.dumps(tokenizer_config_of(source), indent=1, ensure_ascii=False)
    template = source.field("tokenizer.chat_template")
    if template is not None:
        yield "chat_template.jinja", template


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True, help="an empty folder")
    arguments = parser.parse_args(argv)
    try:
        source = Source(arguments.source)
        for name, text in _settings(source):
            (arguments.target / name).write_text(text, encoding="utf-8")
        write_weights(source, arguments.target / "model.safetensors")
    except RefusedError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
