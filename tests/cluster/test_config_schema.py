import json
from pathlib import Path

import jsonschema
import pytest

from cluster.config_schema import schema_text
from cluster.defaults import DEFAULT_TEXT
from cluster.yaml_tree import parse_yaml

ROOT = Path(__file__).parent.parent.parent
VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema_text()))


def complaints(text: str) -> list[str]:
    tree = parse_yaml(text)
    assert tree.problems == ()
    return [error.message for error in VALIDATOR.iter_errors(tree.value)]


def test_the_committed_schema_is_fresh() -> None:
    committed = (ROOT / "cluster.schema.json").read_text()

    assert committed == schema_text(), "run: python -m cluster.config_schema > cluster.schema.json"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("text", [(ROOT / "cluster.yaml").read_text(), DEFAULT_TEXT])
def test_an_editor_accepts_what_potluck_accepts(text: str) -> None:
    assert complaints(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nmodel: {}\n",
        "version: 2\n",
        "version: 1\nmodels: {a: {source: packaged:x, contxt: 8k}}\n",
        "version: 1\nmodels: {a: {source: packaged:x, context: lots}}\n",
        "version: 1\nnodes: {a: {memory: {reserve: 4G}}}\n",
        "version: 1\nnodes: {a: {engines: [vlm]}}\n",
        "version: 1\ngateway: {port: 99999}\n",
    ],
)
def test_an_editor_refuses_what_potluck_refuses(text: str) -> None:
    assert complaints(text) != []


def test_an_editor_accepts_a_substitution_where_a_number_belongs() -> None:
    assert complaints("version: 1\ngateway: {port: '${env:PORT:-8400}'}\n") == []


def test_every_key_has_its_description_or_needs_none() -> None:
    model = json.loads(schema_text())["$defs"]["ModelSection"]["properties"]

    assert [key for key, rule in model.items() if "description" not in rule] == []
