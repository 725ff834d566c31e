"""Debian's Prometheus with what is shipped for it: rules that it takes, a target that it finds, panels with data."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from support.deployed import DEPLOY, RULES, alerts, panels
from support.leaks import CANARY
from support.machine import Machine, Running, eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.alone,
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="Prometheus is not installed: apt-get install prometheus"
    ),
]


def test_the_rules_are_prometheus_own(tmp_path: Path) -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(alerts())} rules found" in done.stdout
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus")
    (tmp_path / "prometheus" / "potluck.key").write_text("none")
    config = str(tmp_path / "prometheus" / "prometheus.yml")
    subprocess.run(["promtool", "check", "config", config], capture_output=True, check=True)


@pytest.fixture
def prometheus(running: Running, shared_machine: Machine, tmp_path: Path) -> Iterator[httpx2.Client]:
    """Started as it is shipped, but for addresses, and an interval that a test can wait for."""
    key = shared_machine.potluck("keys", "create", "--name", "prometheus", "--role", "display").stdout.strip()
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus")
    config: dict[str, Any] = yaml.safe_load((tmp_path / "prometheus" / "prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    (job,) = config["scrape_configs"]
    job["http_sd_configs"][0] |= {"url": f"{running.root}/api/v1/prometheus-sd", "refresh_interval": "1s"}
    (tmp_path / "prometheus" / "prometheus.yml").write_text(yaml.safe_dump(config))
    (tmp_path / "prometheus" / "owner.key").write_text(key)  # a file of that name may hold a key
    text = (tmp_path / "prometheus" / "prometheus.yml").read_text().replace("potluck.key", "owner.key")
    (tmp_path / "prometheus" / "prometheus.yml").write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    storage = (
        f"--storage.tsdb.path={tmp_path / 'series'}"  # Debian's has a place of its own, with what was there before
    )
    words = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address={address}", storage]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=tmp_path / "prometheus", stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://{address}", trust_env=False, timeout=10) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def result_of(client: httpx2.Client, expression: str) -> list[Any]:
    try:
        answer = client.get("/api/v1/query", params={"query": expression})
    except httpx2.TransportError:  # it starts
        return []
    if answer.status_code == 503:
        return []
    body = answer.json()
    assert body["status"] == "success", (expression, body)
    found: list[Any] = body["data"]["result"]
    return found


def ask(running: Running) -> None:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": CANARY}], "max_tokens": 4, "stream": True}
    headers = {"authorization": f"Bearer {running.api_key}"}
    for streamed in (True, False):
        asked = httpx2.post(
            f"{running.endpoint}/chat/completions", json=body | {"stream": streamed}, headers=headers, timeout=60
        )
        assert asked.status_code == 200


def test_every_panel_has_data_of_a_running_cluster_and_nothing_is_alarmed(
    prometheus: httpx2.Client, running: Running
) -> None:
    ask(running)
    eventually(lambda: result_of(prometheus, "up == 1"), 60, "the gateway was found and scraped")
    ask(running)  # a rate needs two scrapes with different counts

    shown = panels("potluck")  # those of GPUs have data where there is one

    def empty() -> list[str]:
        return [title for title, expression in shown.items() if not result_of(prometheus, expression)]

    eventually(lambda: not empty(), 60, "every panel has data")
    firing = [name for name, expression in alerts().items() if result_of(prometheus, expression)]
    assert firing == []
    print(f"RESULT prometheus panels={len(shown)} alerts={len(alerts())}")
