"""With which exit code an error ends, and that this is what its own words and docs/cli.md say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.endpoint import GatewayRefusedError
from cli.errors import BY_STATUS, ROOMS, SPECIAL, exit_code_of
from cluster.config_problems import ConfigError
from inventory.store_records import ModelNotFoundError

ROOT = Path(__file__).parents[2]
PROMISE = re.compile(r"\bexits (\d+)\b")


def promises() -> Iterator[tuple[str, int, bool]]:
    """Classes of errors whose own words say with which code the command ends; whether an HTTP status decides it."""
    for path in (path for room in sorted(ROOMS) for path in (ROOT / room).rglob("*.py")):
        if "node_modules" in path.parts or PROMISE.search(text := path.read_text()) is None:
            continue
        for found in ast.walk(ast.parse(text)):
            said = PROMISE.search(ast.get_docstring(found) or "") if isinstance(found, ast.ClassDef) else None
            if isinstance(found, ast.ClassDef) and said is not None and found.name.endswith("Error"):
                yield found.name, int(said.group(1)), any("status" in ast.unparse(line) for line in found.body[1:])


@pytest.mark.parametrize(("name", "code", "by_status"), tuple(promises()))
def test_an_error_ends_with_the_code_that_it_promises(name: str, code: int, by_status: bool) -> None:
    assert code in {1, *BY_STATUS.values()} if by_status else SPECIAL.get(name, 1) == code


def test_each_documented_code_stands_for_some_error_but_those_of_the_shell() -> None:
    table = (ROOT / "docs" / "cli.md").read_text().partition("| exit code |")[2].partition("\n\n")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}

    assert documented - {0, 130} == {1, *SPECIAL.values(), *BY_STATUS.values()}


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
    import cli.rag_client
    import cli.rag_moving
    import cli.rag_questions
    import cli.readiness
    import cli.render_keys
    import cli.render_nodes
    import cli.route_client
    import cli.sealed_reports
    import cli.watching
    import cluster.admin_client
    import cluster.audit_export
    import cluster.audit_reading
    import cluster.audit_store
    import cluster.config_problems
    import cluster.join_token
    import cluster.sealed_report
    import inventory.known_models
    import inventory.sources
    import inventory.store
    import inventory.store_records
    import nodes.head_client
    import rag.stores.contract
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
        cli.sealed_reports,
        cluster.sealed_report,
        cli.rag_client,
        cli.rag_moving,
        cli.rag_questions,
        rag.stores.contract,
        cli.connect_files,
        cli.connect_target,
    )
    known = {name for module in modules for name in vars(module)}

    assert set(SPECIAL) <= known


def test_an_audit_that_cannot_be_written_is_a_failure_and_not_an_absence() -> None:
    from cluster.admin_client import AdminRefusedError

    assert exit_code_of(AdminRefusedError(503, "audit_unavailable", "the disk is full")) == 1
    assert exit_code_of(AdminRefusedError(503, "starting", "ask again")) == 6
