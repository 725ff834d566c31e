from cli.endpoint import GatewayRefusedError
from cli.errors import SPECIAL, exit_code_of
from cluster.config_problems import ConfigError
from inventory.store_records import ModelNotFoundError


def test_an_error_of_ours_has_an_exit_code() -> None:
    assert exit_code_of(ConfigError("cluster.yaml", [])) == 2
    assert exit_code_of(ModelNotFoundError("qwen", ["qwen3"])) == 4


def test_an_error_with_an_http_status_follows_it() -> None:
    assert exit_code_of(GatewayRefusedError(401, "no")) == 5
    assert exit_code_of(GatewayRefusedError(400, "no")) == 1


def test_an_error_nobody_expected_is_shown_whole() -> None:
    assert exit_code_of(KeyError("x")) is None


def test_every_special_error_exists() -> None:
    import cli.conformance.registry
    import cli.conformance.server
    import cli.connect_files
    import cli.connect_target
    import cli.endpoint
    import cli.readiness
    import cli.render_keys
    import cli.render_nodes
    import cli.route_client
    import cli.watching
    import cluster.admin_client
    import cluster.audit_export
    import cluster.audit_reading
    import cluster.audit_store
    import cluster.config_problems
    import cluster.join_token
    import inventory.known_models
    import inventory.sources
    import inventory.store
    import inventory.store_records
    import nodes.head_client
    import router.batches.store
    import router.cache_store
    import router.decision_query
    import router.usage_query

    modules = (
        cli.conformance.registry,
        cli.conformance.server,
        router.batches.store,
        router.cache_store,
        cli.endpoint,
        cli.readiness,
        cli.render_keys,
        cli.render_nodes,
        cli.watching,
        cluster.admin_client,
        cluster.audit_export,
        cluster.audit_reading,
        cluster.audit_store,
        cluster.config_problems,
        cluster.join_token,
        inventory.known_models,
        inventory.sources,
        inventory.store,
        inventory.store_records,
        nodes.head_client,
        router.usage_query,
        router.decision_query,
        cli.route_client,
        cli.connect_files,
        cli.connect_target,
    )
    known = {name for module in modules for name in vars(module)}

    assert set(SPECIAL) <= known


def test_an_audit_that_cannot_be_written_is_a_failure_and_not_an_absence() -> None:
    from cluster.admin_client import AdminRefusedError

    assert exit_code_of(AdminRefusedError(503, "audit_unavailable", "the disk is full")) == 1
    assert exit_code_of(AdminRefusedError(503, "starting", "ask again")) == 6
