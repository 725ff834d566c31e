from cli.chat import ChatRefusedError
from cli.errors import SPECIAL, exit_code_of
from cluster.config_problems import ConfigError
from inventory.store_records import ModelNotFoundError


def test_an_error_of_ours_has_an_exit_code() -> None:
    assert exit_code_of(ConfigError("cluster.yaml", [])) == 2
    assert exit_code_of(ModelNotFoundError("qwen", ["qwen3"])) == 4


def test_an_error_with_an_http_status_follows_it() -> None:
    assert exit_code_of(ChatRefusedError(401, "no")) == 5
    assert exit_code_of(ChatRefusedError(400, "no")) == 1


def test_an_error_nobody_expected_is_shown_whole() -> None:
    assert exit_code_of(KeyError("x")) is None


def test_every_special_error_exists() -> None:
    import cli.endpoint
    import cli.readiness
    import cli.render_nodes
    import cli.watching
    import cluster.admin_client
    import cluster.config_problems
    import cluster.join_token
    import inventory.known_models
    import inventory.sources
    import inventory.store
    import inventory.store_records
    import nodes.head_client

    modules = (
        cli.endpoint,
        cli.readiness,
        cli.render_nodes,
        cli.watching,
        cluster.admin_client,
        cluster.config_problems,
        cluster.join_token,
        inventory.known_models,
        inventory.sources,
        inventory.store,
        inventory.store_records,
        nodes.head_client,
    )
    known = {name for module in modules for name in vars(module)}

    assert set(SPECIAL) <= known
