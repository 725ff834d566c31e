"""A sealed machine, as a user has it: its gateway is kept from an issuer outside, and the report proves it."""

import json
from pathlib import Path

import httpx2

from support.joining import free_port
from support.machine import Machine

ISSUER = "203.0.113.20"  # for documentation: nobody's
CONFIG = """
version: 1
sealed: {{enabled: true}}
access:
  oidc:
    issuer: https://{issuer}
    client_id: potluck
    address: http://127.0.0.1:{port}
    people: [{{claim: sub, any_of: [anna]}}]
"""


def test_a_sealed_gateway_is_kept_from_an_issuer_outside_and_the_report_says_so(
    machine: Machine, tmp_path: Path
) -> None:
    config, port = tmp_path / "cluster.yaml", free_port()
    config.write_text(CONFIG.format(issuer=ISSUER, port=port))
    running = machine.up("--config", str(config), "--port", str(port))
    off = httpx2.get(f"{running.root}/dashboard/oidc/login", trust_env=False, timeout=30)
    again = (
        httpx2.get(f"{running.root}{off.headers['location']}", trust_env=False, timeout=30) if off.is_redirect else off
    )
    file = tmp_path / "report.json"
    machine.potluck("sealed", "report", "--out", str(file))
    machine.potluck("sealed", "report", "--verify", str(file))
    told = json.loads(json.loads(file.read_text())["report"])
    refused = [row for row in told["rows"] if row["verdict"] == "refused"]
    guarded = {row["process"] for row in told["rows"] if row["verdict"] == "guarded"}
    pulled = machine.potluck("models", "pull", "hf:someone/something", "--name", "x", expect=1)
    doctor = machine.potluck("doctor", "net", expect=None).stdout
    file.write_text(file.read_text().replace(ISSUER, "127.0.0.1"))
    machine.potluck("sealed", "report", "--verify", str(file), expect=3)

    assert again.status_code != 200 or "203.0.113.20" not in again.text
    assert {(row["process"], row["peer"]) for row in refused} == {("potluck gateway", f"{ISSUER}:443")}, told
    assert all("uvloop" in row["modules"] for row in refused), refused  # a door that no hook hears of
    assert guarded >= {"potluck supervise", "potluck gateway", "potluck head", "potluck node"}
    assert "runs sealed" in pulled.stderr
    assert "refused in the last day" in doctor
