"""The embedded cluster.yaml: one machine, a small model, and an encoder of documents that sleeps until it is asked."""

from cluster.config_load import LoadedConfig, parse_config

DEFAULT_MODEL = "smollm2"
DEFAULT_ENCODER = "usem3"

DEFAULT_TEXT = """\
# This machine alone, serving the small models that come with potluck: one that writes, one that makes vectors of texts.
version: 1
cluster: {name: home}
models:
  smollm2:
    source: packaged:smollm2
    engine: llamacpp
    context: 2048
    slots: 4
  usem3:
    source: packaged:usem3
    context: 2k
    slots: 8
    keep_alive: 15m
"""


def default_config() -> LoadedConfig:
    return parse_config(DEFAULT_TEXT, "the embedded configuration", environment={})
