"""The embedded cluster.yaml: one machine, one small model, nothing to download."""

from cluster.config_load import LoadedConfig, parse_config

DEFAULT_MODEL = "smollm2"

DEFAULT_TEXT = """\
# This machine alone, serving the small model that comes with potluck.
version: 1
cluster: {name: home}
models:
  smollm2:
    source: packaged:smollm2
    engine: llamacpp
    context: 2048
    slots: 4
"""


def default_config() -> LoadedConfig:
    return parse_config(DEFAULT_TEXT, "the embedded configuration", environment={})
