"""The cluster.yaml of `potluck up --demo`, and the artifacts that its machines hold by it: shapes without weights."""

from cluster.config_load import LoadedConfig, parse_config
from cluster.desired import FORMATS_OF
from cluster.fit_fleet import USUAL
from inventory.described_models import BGE_M3, DescribedModel, vector_model, writing_model
from nodes.snapshot import EngineKind

DEMO_PORT = 8480
VECTORS = "bge-m3"

DEMO_TEXT = f"""\
# SIMULATED: three machines that are only described, engines that only keep their pace, and no model behind any answer.
# Made by `potluck up --demo`, and gone with `potluck down --demo`. A file of your own begins with cluster.yaml of the
# sources, which describes the same machines.
version: 1
cluster: {{name: simulated-demo}}
ray: {{enabled: false}}
gateway: {{port: {DEMO_PORT}}}
nodes:
  poweredge: {{engines: [llamacpp], memory: {{reserve: 8GiB}}, labels: {{simulated: "yes", power: always-on}}}}
  mac-studio: {{engines: [mlx], memory: {{reserve: 48GiB}}, labels: {{simulated: "yes", room: study}}}}
  rtx4090: {{engines: [vllm], memory: {{reserve: 4GiB}}, labels: {{simulated: "yes", room: cellar}}}}
models:
  # Only the Mac can hold it.
  qwen3-235b-a22b:
    source: hf:mlx-community/Qwen3-235B-A22B-4bit
    engine: mlx
    context: 32k
    slots: 4
  # Two unlike machines serve it: requests go where their answer begins first.
  qwen3-14b:
    sources: {{vllm: "hf:Qwen/Qwen3-14B-AWQ", mlx: "hf:mlx-community/Qwen3-14B-4bit"}}
    on: [rtx4090, mac-studio]
    replicas: 2
    context: 8k
    slots: 4
  # It sleeps until somebody asks for it.
  qwen3-32b:
    source: hf:mlx-community/Qwen3-32B-4bit
    engine: mlx
    context: 16k
    slots: 4
    keep_alive: 5m
  qwen3-4b:
    source: hf:Qwen/Qwen3-4B-GGUF:Q4_K_M
    engine: llamacpp
    context: 8k
    slots: 4
  {VECTORS}:
    source: hf:BAAI/bge-m3-GGUF:Q8_0
    engine: llamacpp
    context: 8k
    slots: 4
aliases: {{default: qwen3-14b, gpt-4o-mini: qwen3-14b}}
"""


def demo_config() -> LoadedConfig:
    return parse_config(DEMO_TEXT, "the demo's configuration", environment={})


def artifacts_for(kind: EngineKind) -> tuple[DescribedModel, ...]:
    """Of every model of the demo that this engine kind may serve."""
    format, found = FORMATS_OF[kind][0], []
    for name, section in demo_config().config.models.items():
        if section.engine not in (None, kind) or section.source_for(kind) is None:
            continue
        if name == VECTORS:
            found.append(vector_model(name, format, BGE_M3, BGE_M3.weight_bytes * 16 // 17))
        else:
            found.append(writing_model(name, format, USUAL[kind]))
    return tuple(found)
