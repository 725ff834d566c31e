"""What every section of cluster.yaml has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in cluster.yaml. A key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
