"""The real command against the real gateway before the real llama.cpp."""

import json

import pytest

from inventory.paths import StatePaths
from support.machine import Machine, Running

pytestmark = pytest.mark.e2e

SUBJECTS = ("models", "errors", "headers", "usage", "no-host", "two-hosts", "length-and-chunked", "after-an-error")


def test_a_machine_that_just_started_conforms(shared_machine: Machine, running: Running) -> None:
    key_file = str(StatePaths.at(shared_machine.state_dir).owner_key)
    words = [word for subject in SUBJECTS for word in ("--only", subject)]
    done = shared_machine.potluck("conformance", running.endpoint, "--key-file", key_file, "--json", *words)

    document = json.loads(done.stdout)
    assert document["kind"] == "ConformanceReport"
    assert {one["name"]: one["verdict"] for one in document["checks"] if one["verdict"] != "pass"} == {
        "key-filter": "not tried"
    }
