"""A folder of safetensors and settings -> its format and ModelSpec, from its own files and nothing else.

A folder is MLX's where its config has a `quantization` object, which MLX alone writes, or where a weights file says in
its own header that MLX wrote it, as mlx-lm does for models that it left unquantised. Any other is plain safetensors.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inventory.catalog import Capability, ExpertShape, ModelSpec, writing_capabilities
from inventory.config_facts import ConfigFacts, parse_config
from inventory.config_layers import ENCODERS, attention_shape, recurrent_shape
from inventory.config_quantisation import label, mlx_section, parameters
from inventory.config_tensors import layer_tensors
from inventory.folder_files import CONFIG, INDEX, choose_files, parse_index
from inventory.folder_template import OLD_TEMPLATE, TEMPLATE, TOKENIZER_CONFIG, chat_template
from inventory.model_error import FolderError
from inventory.safetensors_header import SafeTensor, SafetensorsHeader

FOLDER_SPEC_VERSION = 3  # raise it when a change gives another answer for the same folder: the store then reads again
MAX_LAYERS = 4_096
MAX_CONTEXT = 1 << 30
MAX_TEXT_BYTES = 4 << 20
# What Sentence Transformers write beside a model that pools; the name is that of the model it was made from.
SENTENCES = tuple(
    f"sentence_{base}_config.json"
    for base in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# the files whose content this module reads
READ_WHOLE = (CONFIG, INDEX, TEMPLATE, TOKENIZER_CONFIG, OLD_TEMPLATE, *SENTENCES)
_LANGUAGE_SECTIONS = ("text_config", "llm_config", "language_config")

FolderFormat = Literal["safetensors", "mlx"]


@dataclass(frozen=True, slots=True)
class FolderContent:
    """A folder as read: all names, the contents of READ_WHOLE, the weights' headers and the tokenizer's hash."""

    path: str
    names: frozenset[str]
    texts: Mapping[str, bytes]
    headers: Mapping[str, SafetensorsHeader]
    tokenizer_hash: str | None

    def place(self, name: str) -> str:
        return f"{self.path}/{name}"


def index_of(content: Mapping[str, bytes], path: str) -> Mapping[str, str] | None:
    return parse_index(content[INDEX], f"{path}/{INDEX}") if INDEX in content else None


def check_settings(path: str, texts: Mapping[str, bytes]) -> None:
    """What can be refused without weights. Raises FolderError."""
    if CONFIG not in texts:
        raise FolderError(path, f"it holds no {CONFIG}")
    parse_config(texts[CONFIG], f"{path}/{CONFIG}")
    chat_template(path, texts)


def spec_of_folder(folder: FolderContent) -> tuple[FolderFormat, ModelSpec]:
    """Raises FolderError."""
    config = parse_config(folder.texts[CONFIG], folder.place(CONFIG))
    tensors = _joined_tensors(folder)
    facts = config.with_section(*_LANGUAGE_SECTIONS)
    layers = facts.required("num_hidden_layers", "n_layer", "num_layers", "n_layers", most=MAX_LAYERS)
    by_layer = layer_tensors(tensors, layers)
    template = chat_template(folder.path, folder.texts)
    spec = ModelSpec(
        architecture=_architecture(config),
        display_name=None,
        parameters=parameters(config, tensors),
        layers=layers,
        embedding_size=facts.required("hidden_size", "n_embd", "d_model", "dim"),
        vocabulary_size=facts.integer("vocab_size", least=1),
        context_length=_least(_context_length(facts), _sentence_length(folder)),
        attention=attention_shape(facts, layers, by_layer),
        recurrent=recurrent_shape(facts, by_layer),
        experts=_experts(facts),
        tied_embeddings=_tied(tensors),
        quantisation=label(config, tensors),
        weight_bytes=sum(tensor.size_bytes for tensor in tensors),
        licence=None,
        chat_template=template,
        template_hash=None if template is None else hashlib.sha256(template.encode()).hexdigest(),
        tokenizer_hash=folder.tokenizer_hash,
        capabilities=_capabilities(config, folder.names, template),
    )
    from_mlx = any(header.written_as == "mlx" for header in folder.headers.values())
    return ("mlx" if from_mlx or mlx_section(config) is not None else "safetensors"), spec


def _architecture(config: ConfigFacts) -> str:
    name = config.text("model_type")
    if name is None or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) is None:
        raise config.error("model_type is missing or no proper name")
    return name


def _joined_tensors(folder: FolderContent) -> list[SafeTensor]:
    """All weights' tensors, after checking that the index and the files say the same."""
    index = index_of(folder.texts, folder.path)
    chosen = choose_files(folder.path, folder.names, index).weights
    tensors: dict[str, SafeTensor] = {}
    for name in chosen:
        for tensor in folder.headers[name].tensors:
            if tensor.name in tensors:
                raise FolderError(folder.place(name), f"tensor {tensor.name} is in another file as well")
            if index is not None and index.get(tensor.name) != name:
                raise FolderError(folder.place(INDEX), f"it does not say that {name} holds {tensor.name}")
            tensors[tensor.name] = tensor
    if index is not None and len(index) != len(tensors):
        missing = next(name for name in index if name not in tensors)
        raise FolderError(folder.place(INDEX), f"{index[missing]} does not hold {missing}")
    if not tensors:
        raise FolderError(folder.path, "it holds no tensors")
    return list(tensors.values())


def _context_length(facts: ConfigFacts) -> int | None:
    """Trained context in tokens: stretched where the rope scaling stretches it beyond the stated positions.

    Yarn states the length that it starts from; linear and dynamic scaling start from the positions themselves, except
    Gemma 3, which states the result. All other kinds (llama3, longrope, mrope) state the result.
    """
    stated = facts.integer(
        "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", least=1, most=MAX_CONTEXT
    )
    rope = facts.section("rope_parameters", "rope_scaling")
    if rope is None or stated is None:
        return stated
    kind = rope.text("rope_type", "type")
    factor = rope.number("factor", least=0.001, most=1e6)
    if kind == "yarn" and factor is not None:
        start = rope.integer("original_max_position_embeddings", least=1, most=MAX_CONTEXT) or stated
        return max(stated, min(MAX_CONTEXT, int(start * factor)))
    if (
        kind in ("linear", "dynamic")
        and factor is not None
        and not (facts.text("model_type") or "").startswith("gemma3")
    ):
        return max(stated, min(MAX_CONTEXT, int(stated * factor)))
    return stated


def _sentence_length(folder: FolderContent) -> int | None:
    """The length that a model which pools was trained for: often less than it has positions, and what vLLM holds to."""
    name = next((name for name in SENTENCES if name in folder.texts), None)
    if name is None:
        return None
    return parse_config(folder.texts[name], folder.place(name)).integer("max_seq_length", least=1, most=MAX_CONTEXT)


def _least(*lengths: int | None) -> int | None:
    return min((length for length in lengths if length is not None), default=None)


def _experts(facts: ConfigFacts) -> ExpertShape | None:
    experts = facts.integer("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts", most=1 << 20)
    if not experts:
        return None
    used = facts.required(
        "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts", "moe_k", "moe_top_k",
        least=0, most=experts,
    )  # fmt: skip
    return ExpertShape(experts, used)


def _tied(tensors: Sequence[SafeTensor]) -> bool | None:
    """As the tensors say: what is not in the files is not loaded twice."""
    names = {tensor.name.rpartition(".")[0] for tensor in tensors}
    embeds = any(
        name.endswith(("embed_tokens", "wte", "word_embeddings", "tok_embeddings", "embeddings")) for name in names
    )
    return (
        not any(name.endswith(("lm_head", "embed_out", "output")) and ".layers." not in name for name in names)
        if embeds
        else None
    )


def _capabilities(config: ConfigFacts, names: frozenset[str], template: str | None) -> frozenset[Capability]:
    kinds = config.words("architectures") or ()
    if any(kind.endswith("ForSequenceClassification") for kind in kinds):
        return frozenset({"rerank"})
    pools = "modules.json" in names or any("_Pooling/" in name for name in names)
    writes = any(kind.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for kind in kinds)
    if pools or config.text("model_type") in ENCODERS or (kinds and not writes):
        return frozenset({"embed"})
    return writing_capabilities(template, sees=config.section("vision_config") is not None)
