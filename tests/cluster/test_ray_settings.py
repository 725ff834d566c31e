import json

from cluster.ray_settings import (
    RayNode,
    RayPlace,
    RayPorts,
    RayTls,
    bootstrap_stub,
    driver_environment,
    fits,
    head_command,
    raylet_command,
)
from nodes.snapshot import NodeId

TLS = RayTls("/s/ca.crt", "/s/node.crt", "/s/node.key")
PLACE = RayPlace("/v/bin/ray", "/s/ray/home", "/s/ray/t", "/s/ray/gcs", "/s/secrets/ray-token", TLS)
NODE = RayNode(NodeId("rtx"), "10.77.0.2", ("vllm", "llamacpp"), "/s")


def options(argv: tuple[str, ...]) -> dict[str, str]:
    return dict(word.removeprefix("--").split("=", 1) for word in argv if word.startswith("--") and "=" in word)


def test_no_port_is_left_for_ray_to_choose() -> None:
    given = options(head_command(PLACE, NODE).argv)
    named = {int(value) for name, value in given.items() if name.endswith("port")}
    documented = {port for first, last in RayPorts().ranges for port in range(first, last + 1)}

    assert named <= documented
    assert {name for name in given if name.endswith("port")} == {
        "port",
        "node-manager-port",
        "object-manager-port",
        "runtime-env-agent-port",
        "dashboard-agent-grpc-port",
        "dashboard-agent-listen-port",
        "metrics-export-port",
        "min-worker-port",
        "max-worker-port",
    }


def test_a_node_offers_its_own_name_and_its_kinds_of_engine() -> None:
    given = options(raylet_command(PLACE, NODE, "10.77.0.1").argv)

    assert json.loads(given["resources"]) == {"node:rtx": 1, "engine:vllm": 1, "engine:llamacpp": 1}
    assert given["address"] == "10.77.0.1:8410"


def test_secrets_are_named_by_their_files_and_never_given() -> None:
    environment = dict(driver_environment(PLACE))

    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == "/s/secrets/ray-token"
    assert "RAY_AUTH_TOKEN" not in environment
    assert environment["RAY_USE_TLS"] == "1"
    assert {environment[f"RAY_TLS_{name}"] for name in ("CA_CERT", "SERVER_CERT", "SERVER_KEY")} == {
        TLS.authority,
        TLS.certificate,
        TLS.key,
    }


def test_reports_go_nowhere_and_no_cloud_is_asked() -> None:
    environment = dict(driver_environment(PLACE))

    assert environment["RAY_USAGE_STATS_REPORT_URL"] == "http://127.0.0.1:9/"
    assert environment["HOME"] == PLACE.home
    assert "type: local" in bootstrap_stub()
    assert "--disable-usage-stats" in head_command(PLACE, NODE).argv


def test_a_raylet_waits_for_its_head_and_a_driver_does_not() -> None:
    name = "RAY_gcs_rpc_server_reconnect_timeout_s"

    assert int(dict(raylet_command(PLACE, NODE, "h").environment)[name]) >= 300
    assert int(dict(driver_environment(PLACE))[name]) <= 10


def test_the_head_alone_remembers_and_checks_health() -> None:
    head, raylet = dict(head_command(PLACE, NODE).environment), dict(raylet_command(PLACE, NODE, "h").environment)

    assert head["RAY_gcs_storage_path"] == PLACE.store
    assert "RAY_gcs_storage_path" not in raylet
    assert set(raylet) < set(head)


def test_a_directory_is_too_deep_when_a_socket_below_it_would_have_no_name() -> None:
    assert fits("/home/ann/.local/state/p/ray/t")
    assert not fits("/Users/ann/Library/Application Support/potluck/ray/t")
