"""Requests that schemathesis makes from an OpenAPI document: the same ones in every run, valid and invalid."""

import contextlib
import json
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, GenerationMode
from schemathesis import Case as CaseOf
from schemathesis.checks import CheckFunction
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

Case = CaseOf[Any]
Operation = APIOperation[Any, Any, Any, Any]


def operations_of(document: dict[str, Any]) -> list[Operation]:
    schema = schemathesis.openapi.from_dict(document)
    found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    assert len(found) == sum(len(methods) for methods in document["paths"].values())
    return found


def drawn(operation: Operation, mode: GenerationMode, count: int) -> list[Case]:
    """As many as there are, `count` at the most. Of an operation in which nothing can be wrong, no invalid ones."""
    cases: list[Case] = []

    @settings(
        max_examples=max(count, 1),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def draw(case: Case) -> None:
        cases.append(case)

    with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
        draw()
    return cases[:count]


def as_request(case: Case) -> dict[str, Any]:
    """What schemathesis would send, as arguments for a client of ours. Names of headers are in lower case."""
    sent = case.as_transport_kwargs(base_url="http://potluck")
    body = json.dumps(sent["json"]).encode() if "json" in sent else sent.get("data") or b""
    headers = {name.lower(): value.strip().encode("latin-1") for name, value in sent["headers"].items()}
    return {
        "method": sent["method"], "url": case.formatted_path, "headers": headers, "content": body,
        "params": sent.get("params") or None,
    }  # fmt: skip


def broken_rule(case: Case, answer: httpx2.Response, checks: list[CheckFunction]) -> str | None:
    """Where an answer is not as the document says."""
    try:
        case.validate_response(answer, checks=checks)
    except FailureGroup as found:
        return "\n".join(str(failure) for failure in found.exceptions)
    return None
