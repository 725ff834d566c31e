"""A BERT of random weights in GGUF, small enough to be served in a test: one that makes vectors, or one that ranks."""

from pathlib import Path
from typing import Literal

import gguf
import numpy as np

WIDTH, INNER, LAYERS, HEADS, CONTEXT = 64, 128, 2, 4, 512
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789áéíóúñ.,?!"
_POOLING = {"embed": gguf.PoolingType.MEAN, "rerank": gguf.PoolingType.RANK}


def write_bert(path: Path, purpose: Literal["embed", "rerank"]) -> Path:
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(_POOLING[purpose])
    words = _write_tokenizer(writer)
    for name, shape in _shapes(words, purpose).items():
        writer.add_tensor(name, _drawn(name, shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: gguf.GGUFWriter) -> int:
    """A word piece for each letter, at the beginning of a word (▁) and inside one. Returns how many pieces."""
    pieces = [*SPECIAL, *(f"▁{letter}" for letter in LETTERS), *LETTERS]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("bert")
    writer.add_token_list(pieces)
    writer.add_token_types([control if piece in SPECIAL else normal for piece in pieces])
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
    writer.add_mask_token_id(4)
    return len(pieces)


def _shapes(words: int, purpose: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (words, WIDTH),
        "token_types.weight": (2, WIDTH),
        "position_embd.weight": (CONTEXT, WIDTH),
        **_with_bias("token_embd_norm", (WIDTH,)),
    }
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes |= _with_bias(f"{block}.{part}", (WIDTH, WIDTH))
        shapes |= _with_bias(f"{block}.ffn_up", (INNER, WIDTH)) | _with_bias(f"{block}.ffn_down", (WIDTH, INNER))
        for norm in ("attn_output_norm", "layer_output_norm"):
            shapes |= _with_bias(f"{block}.{norm}", (WIDTH,))
    if purpose == "rerank":
        shapes |= _with_bias("cls", (WIDTH, WIDTH)) | _with_bias("cls.output", (1, WIDTH))
    return shapes


def _with_bias(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _drawn(name: str, shape: tuple[int, ...]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """The same for the same name. Norms pass on what they get."""
    if name.endswith(".bias"):
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    dice = np.random.default_rng(sum(name.encode()))
    return (dice.standard_normal(shape) / 8).astype(np.float32)
