"""The section `cache` of cluster.yaml: how much the gateway keeps of what engines have answered."""

from pydantic import Field

from cluster.cache_rules import DEFAULT_BYTES
from cluster.config_section import Section
from cluster.config_values import Bytes


class CacheSection(Section):
    size: Bytes = Field(default=DEFAULT_BYTES, json_schema_extra={"default": "256MiB"})
    """Of all that is kept, on the gateway's disk. Beyond it goes what was not used for the longest time."""
    vectors: bool = True
    """Keep the vectors of texts, so that an engine makes each of them once. The texts themselves are not kept."""
