"""cluster.schema.json, generated from the models: what an editor checks and completes cluster.yaml with.

`python -m cluster.config_schema > cluster.schema.json` writes it; a test holds it fresh.
"""

import json
import sys
from collections.abc import Mapping

from cluster.config import ClusterConfig
from cluster.yaml_tree import Value

_SUBSTITUTED = {"type": "string", "pattern": r"\$\{(env|file):"}


def schema_text() -> str:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "potluck cluster.yaml",
        **ClusterConfig.model_json_schema(),
    }
    return json.dumps(_loosened(schema), indent=2, ensure_ascii=False) + "\n"


def _loosened(value: Value) -> Value:
    """The same schema, where any value may also be ${env:…} or ${file:…}. Generated titles are dropped."""
    if isinstance(value, list):
        return [_loosened(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    result = {key: _loosened(item) for key, item in value.items() if not _noise(key, item)}
    if result.get("type") == "integer" or (
        result.get("type") == "string" and ("enum" in result or "pattern" in result)
    ):
        return _either(result)
    return result


def _noise(key: str, item: Value) -> bool:
    """Generated titles repeat the key; the default of a section is in numbers, and each of its keys has its own."""
    return (key == "title" and isinstance(item, str)) or (key == "default" and isinstance(item, Mapping))


def _either(rule: dict[str, Value]) -> Value:
    notes: dict[str, Value] = {key: rule.pop(key) for key in ("default", "description", "examples") if key in rule}
    return {"anyOf": [rule, dict(_SUBSTITUTED)], **notes}


if __name__ == "__main__":
    sys.stdout.write(schema_text())
