"""How the weights of a model folder are quantised, and how many parameters the packed tensors stand for."""

import re
from collections import Counter
from collections.abc import Sequence

from inventory.config_facts import ConfigFacts
from inventory.safetensors_header import SafeTensor

# Tensors that serve to unpack others and are no parameters themselves.
_AIDS = re.compile(
    r"(^|[._])(scales?|biases|qzeros|g_idx|zero_point|weight_shape|weight_scale(_inv|_2)?|global_scale|absmax|quant_map"
    r"|nested_absmax|nested_quant_map|quant_state\.\w+)$"
)
_PACKED = (".qweight", ".weight_packed", ".qweight_packed")
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def mlx_section(facts: ConfigFacts) -> ConfigFacts | None:
    """MLX keeps how it quantised under a key of its own; others use quantization_config alone."""
    return facts.section("quantization")


def label(facts: ConfigFacts, tensors: Sequence[SafeTensor]) -> str:
    """ "mlx-4bit-g64", "awq-4bit-g128", "fp8"; "BF16", the type that holds most bytes, where nothing is quantised."""
    section = mlx_section(facts)
    method = "mlx"
    if section is None:
        section = facts.section("quantization_config", "compression_config")
        method = (section.text("quant_method") or "") if section else ""
    if section is None or not method:
        return _main_type(tensors)
    if _WORD.fullmatch(method) is None:
        raise facts.error(f"quant_method is {method[:40]!r}, which names no method")
    if method == "mlx" and (mode := section.text("mode")) not in (None, "affine") and _WORD.fullmatch(mode or ""):
        return f"mlx-{mode}"
    if method == "compressed-tensors":
        kind = section.text("format") or "mixed"
        if _WORD.fullmatch(kind) is None:
            raise facts.error(f"the format of its compressed tensors is {kind[:40]!r}, which names none")
        return f"compressed-tensors-{kind}"
    if method == "bitsandbytes":
        return "bnb-4bit" if section.flag("load_in_4bit", "_load_in_4bit") else "bnb-8bit"
    bits = section.integer("bits", "w_bit", least=1, most=16)
    group = section.integer("group_size", "q_group_size", least=-1, most=1 << 20)
    return method + (f"-{bits}bit" if bits else "") + (f"-g{group}" if bits and group and group > 0 else "")


def parameters(facts: ConfigFacts, tensors: Sequence[SafeTensor]) -> int:
    """Weights as the model has them, whatever their packing."""
    names = {tensor.name for tensor in tensors}
    bits = _PackedBits(facts)
    return sum(_elements(tensor, names, bits) for tensor in tensors)


class _PackedBits:
    """Bits of one weight: of a tensor where MLX mixes them, else of all."""

    def __init__(self, facts: ConfigFacts) -> None:
        self._mlx = mlx_section(facts)
        section = self._mlx or facts.section("quantization_config", "compression_config")
        self._default = section.integer("bits", "w_bit", least=1, most=16) if section else None
        groups = section.section("config_groups") if section else None
        for group in groups.values if groups else ():
            one = groups.section(group) if groups else None
            weights = one.section("weights") if one else None
            self._default = self._default or (weights.integer("num_bits", least=1, most=16) if weights else None)

    def of(self, tensor: SafeTensor) -> int:
        module = tensor.name.rpartition(".")[0]
        own = self._mlx.values.get(module) if self._mlx else None
        if isinstance(own, dict):
            return ConfigFacts(self._mlx.path if self._mlx else "", own).integer("bits", least=1, most=16) or 4
        return self._default or 4


def _elements(tensor: SafeTensor, names: set[str], bits: _PackedBits) -> int:
    stem = tensor.name.rpartition(".")[0]
    if tensor.dtype == "U32" and tensor.name.endswith(".weight") and f"{stem}.scales" in names:
        return tensor.size_bytes * 8 // bits.of(tensor)
    if tensor.dtype in ("I32", "U32") and tensor.name.endswith(_PACKED):
        return tensor.size_bytes * 8 // bits.of(tensor)
    if tensor.dtype == "U8" and _holds_half_bytes(tensor.name, stem, names):
        return tensor.elements * 2
    return 0 if _AIDS.search(tensor.name) else tensor.elements


def _holds_half_bytes(name: str, stem: str, names: set[str]) -> bool:
    """Two 4-bit values in each byte: MXFP4 (blocks), NVFP4 (scales beside), and 4-bit bitsandbytes (absmax beside)."""
    if name.endswith("_blocks"):
        return f"{name.removesuffix('_blocks')}_scales" in names
    if name.endswith(".weight_packed"):
        return True
    return name.endswith(".weight") and (f"{stem}.weight_scale" in names or f"{name}.absmax" in names)


def _main_type(tensors: Sequence[SafeTensor]) -> str:
    held = Counter[str]()
    for tensor in tensors:
        held[tensor.dtype] += tensor.size_bytes
    return max(held, key=lambda name: (held[name], name))
