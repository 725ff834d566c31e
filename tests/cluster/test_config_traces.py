import pytest

from cluster.config_load import parse_config
from cluster.config_problems import ConfigError

HERE = "version: 1\ncluster: {listen: 192.168.1.10}\ngateway:\n  traces: {endpoint: ENDPOINT}\n"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:4318/v1/traces", "http://localhost:4318/v1/traces", "https://192.168.1.10/v1/traces"]
)
def test_traces_go_to_this_machine_without_further_ado(endpoint: str) -> None:
    section = parse_config(HERE.replace("ENDPOINT", endpoint), "cluster.yaml").config.gateway.traces

    assert section is not None and section.endpoint == endpoint


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("https://collector.example/v1/traces", "elsewhere: true"),
        ("https://192.168.1.11/v1/traces", "elsewhere: true"),
        ("https://127.0.0.1.example/v1/traces", "elsewhere: true"),
        ("http://192.168.1.10/v1/traces", "plain HTTP"),
        ("https://a:b@127.0.0.1/v1/traces", "not an address"),
    ],
)
def test_they_leave_it_only_where_that_is_said_and_never_in_clear(endpoint: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(HERE.replace("ENDPOINT", f'"{endpoint}"'), "cluster.yaml")


def test_another_machine_may_be_named() -> None:
    text = HERE.replace("ENDPOINT", '"https://collector.example/v1/traces", elsewhere: true')
    section = parse_config(text, "cluster.yaml").config.gateway.traces

    assert section is not None and section.elsewhere
    with pytest.raises(ConfigError, match="plain HTTP"):
        parse_config(text.replace("https", "http"), "cluster.yaml")


def test_without_the_section_there_are_none() -> None:
    assert parse_config("version: 1\n", "cluster.yaml").config.gateway.traces is None
