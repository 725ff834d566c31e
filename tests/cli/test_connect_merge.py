import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.connect_merge import UnreadableError, merged

NAMES = st.from_regex("[a-h][a-h_-]{0,7}", fullmatch=True)
VALUES = (
    st.booleans() | st.integers(-(2**31), 2**31) | st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12)
)
TREES = st.dictionaries(
    NAMES, st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=8)
)
WANTED = {"model": "toy", "providers": {"potluck": {"url": "http://127.0.0.1:1/v1", "limit": 5}}}


def both(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What must be there: ours, and theirs wherever ours says nothing."""
    kept = {
        key: both(theirs[key], value) if isinstance(value, dict) and key in theirs else value
        for key, value in ours.items()
    }
    return {**theirs, **kept}


@given(TREES)
def test_json_keeps_whatever_else_there_is(theirs: dict[str, Any]) -> None:
    assert json.loads(merged("json", json.dumps(theirs), WANTED)) == both(theirs, WANTED)


@given(TREES)
def test_toml_keeps_whatever_else_there_is(theirs: dict[str, Any]) -> None:
    import tomlkit

    assert tomllib.loads(merged("toml", tomlkit.dumps(theirs), WANTED)) == both(theirs, WANTED)


@given(TREES)
def test_yaml_keeps_whatever_else_there_is(theirs: dict[str, Any]) -> None:
    text = yaml.safe_dump(theirs, allow_unicode=True)

    assert yaml.safe_load(merged("yaml", text, WANTED)) == both(theirs, WANTED)


@pytest.mark.parametrize("form", ["json", "toml", "yaml", "env"])
def test_merging_twice_changes_nothing_more(form: Any) -> None:
    tree = WANTED if form != "env" else {"A": "1", "B": "two words"}
    once = merged(form, None, tree)

    assert merged(form, once, tree) == once


def test_comments_and_order_stay_in_toml() -> None:
    text = '# mine\nmodel = "gpt"  # the old one\n\n[tools]\n# why\nweb = true\n'

    found = merged(
        "toml", text, {"model": "toy", "model_provider": "potluck", "model_providers": {"potluck": {"a": 1}}}
    )

    assert "# mine\n" in found and "# why\nweb = true\n" in found
    assert tomllib.loads(found) == {
        "model": "toy",
        "model_provider": "potluck",
        "tools": {"web": True},
        "model_providers": {"potluck": {"a": 1}},
    }


def test_comments_stay_in_yaml_and_a_model_of_the_same_name_is_the_same() -> None:
    text = "# mine\nmodels:\n  - name: toy  # fast\n    roles: [chat]\n    seed: 7\n  - name: other\n"

    found = merged("yaml", text, {"models": [{"name": "toy", "apiBase": "u"}, {"name": "third"}]})

    assert "# mine\n" in found and "# fast" in found
    assert yaml.safe_load(found)["models"] == [
        {"name": "toy", "roles": ["chat"], "seed": 7, "apiBase": "u"},
        {"name": "other"},
        {"name": "third"},
    ]


def test_a_file_of_nothing_but_comments_keeps_them() -> None:
    assert merged("yaml", "# mine\n", [{"model_id": "a"}]).startswith("# mine\n")


def test_an_indentation_stays_in_json() -> None:
    assert merged("json", '{\n\t"a": 1\n}\n', {"b": "é"}) == '{\n\t"a": 1,\n\t"b": "é"\n}\n'


def test_variables_are_replaced_where_they_stand() -> None:
    text = "# mine\nexport KEY=old\nOTHER=x y\n"

    assert merged("env", text, {"KEY": "new", "CA": "/a b/ca.crt"}) == "# mine\nKEY=new\nOTHER=x y\nCA='/a b/ca.crt'\n"


@pytest.mark.parametrize(
    ("form", "text", "why"),
    [
        ("json", '{"a": 1, // mine\n}', "comments cannot be kept"),
        ("toml", "a = = 1", "not valid TOML"),
        ("yaml", "a: [1", "not valid YAML"),
        ("json", '{"providers": []}', "`providers` holds something else"),
        ("yaml", "- a\n", "`it` holds something else"),
    ],
)
def test_what_cannot_be_merged_says_why(form: Any, text: str, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        merged(form, text, WANTED)
