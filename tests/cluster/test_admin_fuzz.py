"""The head's admin API asked what nobody thought of: it refuses in its own words, and never fails."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from schemathesis import GenerationMode

from cluster.admin_api import admin_app
from cluster.admin_demand import add_demand_routes
from cluster.admin_keys import add_key_routes
from cluster.admin_models import add_model_routes
from cluster.admin_nodes import add_node_routes
from cluster.audit_admin import add_audit_reading_routes
from cluster.audit_api import add_audit_routes
from cluster.controller import ControllerTimes
from cluster.fit_api import add_fit_routes
from cluster.join_admin import add_join_routes
from cluster.ledger_api import add_ledger_routes
from cluster.service import HeadSettings
from inventory.paths import StatePaths
from nodes.unix_server import unix_client
from support.cluster_facts import held, node
from support.fake_node import FakeNode
from support.generated import Case, as_request, drawn, operations_of
from support.heads import running_head

pytestmark = pytest.mark.e2e
CASES = int(os.environ.get("POTLUCK_FUZZ_CASES", "1000")) // 10
ENDLESS = "/api/v1/watch"
NAMES = ("box", "owner", "made", "smollm2")


def document() -> dict[str, Any]:
    """Of the same routes that the head serves. Nothing of it runs."""
    nothing: Any = None
    app = admin_app(nothing)
    adding = (add_key_routes, add_node_routes, add_model_routes, add_demand_routes, add_fit_routes)
    for add in (*adding, add_ledger_routes, add_join_routes):
        add(app, nothing)
    add_audit_reading_routes(app, nothing, nothing)
    add_audit_routes(app, nothing, nothing, nothing)
    return app.openapi()


def cases() -> list[Case]:
    operations = [one for one in operations_of(document()) if one.path != ENDLESS]
    each = CASES // len(operations) // 2 + 1
    made = [case for one in operations for mode in GenerationMode for case in drawn(one, mode, each)]
    for at, case in enumerate(made):
        if at % 2 and "name" in (case.path_parameters or {}):
            case.path_parameters = {**case.path_parameters, "name": NAMES[at % len(NAMES)]}
    return made


async def test_whatever_is_asked_of_the_head_it_answers_and_goes_on(tmp_path: Path) -> None:
    settings = HeadSettings(StatePaths.at(tmp_path / "state"), None, ControllerTimes(tick_s=0.05))
    statuses, failed = Counter[int](), []
    made = cases()
    async with (
        running_head(settings, [FakeNode(node("box", [held("smollm2")]))]),
        unix_client(settings.paths.head_socket) as client,
    ):
        await client.post("/api/v1/keys", json={"name": "made"})
        for case in made:
            answer = await client.request(**as_request(case))
            statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                failed.append(f"{answer.status_code} {answer.text[:200]} to {case.as_curl_command()[:600]}")
        alive = await client.get("/api/v1/config")

    assert failed == []
    assert alive.status_code == 200
    assert statuses[200] > 20, dict(statuses)
