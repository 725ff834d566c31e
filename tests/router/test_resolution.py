"""Which model a name leads to: rules, what stands in, and what a caller may not see."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.config_load import parse_config
from cluster.config_problems import ConfigError
from cluster.desired import desired_state
from cluster.routes import NamedRoute, RouteRule
from cluster.snapshot import ClusterSnapshot, ModelState
from inventory.catalog import ModelName
from nodes.relay.contract import Address
from router.decision import RoutingTable, routing_table
from router.resolution import Resolved, Wish, resolve, words_in
from support.gateway import access_with, cluster_of, engine_at, key_record, running_gateway
from support.upstream import answer_kindly, scripted_upstream

MED, TOY, BIG = ModelName("med"), ModelName("toy"), ModelName("big")
AUTO = NamedRoute(
    "auto",
    (
        RouteRule("healthcare", MED, words=("patient", "diabet*", "blood pressure"), least=2),
        RouteRule("school", TOY, groups=("7b",)),
        RouteRule("long", BIG, longer_than_tokens=1000),
    ),
    TOY,
)
YAML = """
version: 1
models:
  med: { source: "packaged:smollm2", fallback: [toy] }
  toy: { source: "packaged:smollm2" }
routes:
  auto:
    rules:
      - { domain: healthcare, words: [Patient, "blood  pressure"], least: 2, model: med }
      - { domain: school, groups: [7b], longer_than: 1k, model: toy }
    otherwise: toy
"""


def snapshot(unready: dict[str, ModelState] | None = None) -> ClusterSnapshot:
    """Three models, each with an engine of its own, unless it is in another state."""
    states = unready or {}
    names = ("med", "toy", "big")
    engines = [engine_at(Address("127.0.0.1", 1), f"{name}-1", name) for name in names if name not in states]
    made = cluster_of(engines, names)
    models = tuple(
        replace(view, state=states.get(view.name, "ready"), fallback=(BIG, TOY) if view.name == MED else ())
        for view in made.models
    )
    return replace(made, models=models, routes=(AUTO,), aliases=(("gpt", "med"),))


def led(table: RoutingTable, asked: str, said: str = "", group: str = "", tokens: int = 0) -> Resolved | None:
    return resolve(table, asked, Wish(group, tokens, lambda: said), lambda name, model: True)


@pytest.mark.parametrize(
    ("said", "group", "tokens", "model", "why"),
    [
        ("The PATIENT has diabetes.", "", 0, "med", "rule healthcare: words patient, diabet*"),
        ("Impatient patients, blood\n pressure", "", 0, "toy", "no rule"),
        ("A patient and his blood\npressure", "7b", 0, "med", "rule healthcare: words patient, blood pressure"),
        ("A patient", "7b", 5000, "toy", "rule school: group 7b"),
        ("A patient", "", 1001, "big", "rule long: more than 1000 tokens"),
        ("", "", 1000, "toy", "no rule"),
    ],
)
def test_the_first_rule_that_holds_chooses_and_says_by_what(
    said: str, group: str, tokens: int, model: str, why: str
) -> None:
    found = led(routing_table(snapshot()), "auto", said, group, tokens)

    assert found is not None
    assert (found.routes.view.name, found.why) == (model, why)


@pytest.mark.parametrize(
    ("asked", "states", "model", "why"),
    [
        ("med", {}, "med", ""),
        ("gpt", {}, "med", ""),
        ("med", {"med": "failed"}, "big", "fallback: med is failed"),
        ("gpt", {"med": "unplaced", "big": "unplaced"}, "toy", "fallback: med is unplaced"),
        ("med", {"med": "failed", "big": "asleep"}, "big", "fallback: med is failed"),
        ("med", {"med": "asleep"}, "med", ""),
        ("med", {"med": "starting"}, "med", ""),
        ("med", {"med": "failed", "big": "failed", "toy": "failed"}, "med", ""),
        ("big", {"big": "failed"}, "big", ""),
    ],
)
def test_another_model_answers_only_where_one_is_named_and_this_one_cannot(
    asked: str, states: dict[str, ModelState], model: str, why: str
) -> None:
    found = led(routing_table(snapshot(states)), asked)

    assert found is not None
    assert (found.routes.view.name, found.why) == (model, why)


def test_a_caller_is_led_to_nothing_that_it_may_not_use() -> None:
    table = routing_table(snapshot({"med": "failed"}))

    def allowed(name: str, model: str) -> bool:
        return model in ("med", "toy")

    wish = Wish("", 5000, lambda: "patient, blood pressure")
    by_rule, by_name = resolve(table, "auto", wish, allowed), resolve(table, "med", wish, allowed)
    assert by_rule is not None
    assert by_name is not None
    assert by_rule.routes.view.name == by_name.routes.view.name == "toy"
    assert resolve(table, "auto", wish, lambda name, model: False) is None
    assert resolve(table, "nobody", wish, lambda name, model: True) is None


def test_words_with_signs_of_patterns_are_words() -> None:
    assert words_in(("c++ code", "a.b"), "some C++ code, axb") == ["c++ code"]


def test_the_configuration_becomes_routes_and_stand_ins() -> None:
    desired = desired_state(parse_config(YAML, "cluster.yaml").config, 1)

    rules = (
        RouteRule("healthcare", MED, ("patient", "blood pressure"), 2),
        RouteRule("school", TOY, groups=("7b",), longer_than_tokens=1024),
    )
    assert desired.routes == (NamedRoute("auto", rules, TOY),)
    assert {model.name: model.fallback for model in desired.models} == {MED: (TOY,), TOY: ()}


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("fallback: [med]", "fallback: [toy]", "cannot stand in for itself"),
        ("fallback: [tow]", "fallback: [toy]", 'no model "tow"'),
        ("otherwise: nix", "otherwise: toy", 'no model "nix"'),
        ("  med:\n    rules", "  auto:\n    rules", "has this name already"),
        ("least: 3", "least: 2", "more than there are words"),
        ('words: ["*"]', 'words: [Patient, "blood  pressure"]', "is no word"),
        ("domain: school, model", "domain: school, groups: [7b], longer_than: 1k, model", "needs `words`"),
    ],
)
def test_rules_that_make_no_sense_are_named(wrong: str, right: str, said: str) -> None:
    assert right in YAML
    with pytest.raises(ConfigError) as caught:
        parse_config(YAML.replace(right, wrong), "cluster.yaml")
    assert said in str(caught.value)


async def test_an_answer_says_which_model_was_chosen_and_why(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream:
        engines = [engine_at(upstream.address, f"{name}-1", name) for name in ("med", "toy")]
        async with running_gateway(tmp_path, engines, ("med", "toy")) as running:
            cluster = cluster_of(engines, ("med", "toy"), sequence=2)
            running.view.install_cluster(replace(cluster, routes=(replace(AUTO, rules=AUTO.rules[:1]),)))
            body = {"model": "auto", "messages": [{"role": "user", "content": "This patient's blood pressure?"}]}
            async with running.http() as client:
                chosen = await client.post("/v1/chat/completions", json=body)
                plain = await client.post("/v1/chat/completions", json=body | {"model": "toy"})
                listed = (await client.get("/v1/models/auto")).json()
            other = "pl_other1_" + "s" * 43
            keys = [key_record(), replace(key_record(other), models=("toy",))]
            running.view.install_access(access_with(running.paths, keys, sequence=2))
            async with running.http(other) as client:
                hidden = await client.post("/v1/chat/completions", json=body | {"model": "med"})
                narrow = await client.post("/v1/chat/completions", json=body)

    assert chosen.headers["x-potluck-model"] == "med"
    assert chosen.headers["x-potluck-model-reason"] == "rule healthcare: words patient, blood pressure"
    assert "x-potluck-model" not in plain.headers
    assert (listed["id"], listed["root"]) == ("auto", "toy")
    assert (hidden.status_code, narrow.headers["x-potluck-model-reason"]) == (404, "no rule")
    asked = [json.loads(one.body)["model"] for one in upstream.asked]
    assert asked == ["med", "toy", "toy"]
    assert running.gateway.dispatcher.refusals.take().total() == 1
