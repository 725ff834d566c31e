"""The same requests, in seconds and by the policies that know none, end to end through a gateway to three machines.

The machines are hosts of their own, put together as users do it: a head, and two that join it. Their daemons run fault
engines where llama.cpp would be, thirty to one from the fastest to the slowest, and measure them as they measure every
engine; the gateway reaches the two through their TLS ports. POTLUCK_PAIRS is how many pairs of runs there are.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster.router_policy import RouterPolicy
from inventory.paths import StatePaths
from router.accuracy import Sample
from router.decision_query import samples
from support.fault_installed import install_fault_engine
from support.fleet import Fleet
from support.gguf_files import write_gguf
from support.hosts import a_lan
from support.machine import eventually
from support.policy_load import Load
from support.policy_runs import POLICIES, Compared

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

PAIRS = int(os.environ.get("POTLUCK_PAIRS", "1"))
MACHINES = {"cellar": (600, 75), "attic": (4500, 300), "desk": (18000, 900)}  # prompt and output tokens a second
LOAD = Load(per_s=27.0, short=(50, 400), long=(800, 2000), answer=(4, 24), requests=75, warm=20, patience_s=3.0)
CONFIG = """
version: 1
cluster: {{name: home, listen: {address}}}
ray: {{enabled: false}}
models:
  toy: {{source: "file:SOURCE", context: 4096, slots: 4, replicas: 3}}
router: {{policy: seconds}}
"""


@contextmanager
def three_machines() -> Iterator[Fleet]:
    with a_lan() as lan:
        fleet = Fleet(lan, CONFIG, names=tuple(MACHINES))
        head = fleet.head.host.root
        source = write_gguf(head / "toy.gguf")
        fleet.config = CONFIG.replace("SOURCE", str(source))
        for name, (prompt_rate, rate) in MACHINES.items():
            flags = ("--prompt-tokens-per-s", str(prompt_rate), "--tokens-per-s", str(rate))
            member = fleet.members[name]
            member.engines_dir = install_fault_engine(member.host.root / "engines", *flags)
        fleet.head.potluck("models", "pull", f"file:{source}")
        fleet.start_head()
        with ThreadPoolExecutor() as pool:
            list(pool.map(fleet.join, tuple(MACHINES)[1:]))
        fleet.wait_until_serving(*MACHINES, deadline_s=180)
        yield fleet


def run(fleet: Fleet, policy: RouterPolicy, seed: int) -> tuple[list[float], float]:
    """Seconds to first tokens, and since when they count."""
    chosen = fleet.head.host.root / "chosen.yaml"
    config = fleet.config.format(address=fleet.head.host.address)
    chosen.write_text(config.replace("policy: seconds", f"policy: {policy}"))
    fleet.head.potluck("config", "apply", str(chosen))
    asked = {"endpoint": fleet.endpoint, "key": fleet.key, "model": "toy", "policy": policy}
    said = fleet.head.host.run(
        sys.executable,
        "-m",
        "support.policy_load",
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=json.dumps({"asked": asked, "load": asdict(LOAD), "seed": seed}),
    )
    found = json.loads(said.stdout)
    return found["taken"], found["counted_from_s"]


def errors(telemetry: Path, taken: Sequence[float], since_s: float) -> list[float]:
    """As shares of what was observed, of those who waited for their first token."""
    answered = sum(seconds < LOAD.patience_s for seconds in taken)

    def look() -> list[Sample] | None:
        known = samples(telemetry, since_s)
        return known if len(known) >= answered else None

    return [abs(one.predicted_s / one.observed_s - 1) for one in eventually(look, 60, f"{answered} on record")]


def test_knowing_seconds_is_better_than_counting() -> None:
    found = Compared()
    with three_machines() as fleet:
        telemetry = StatePaths.at(fleet.head.state_dir).telemetry_db
        for seed in range(PAIRS):
            for policy in POLICIES:
                taken, counted_from_s = run(fleet, policy, seed)
                found.taken[policy] += taken
                if policy == "seconds":
                    found.errors += errors(telemetry, taken, counted_from_s)
        assert fleet.links() == {"cellar": "local", "attic": "https", "desk": "https"}
    print("\n".join(found.lines("policies")))

    assert found.ratio("round-robin") <= 0.70
    assert found.ratio("least-requests") <= 0.85
    assert found.error <= 0.25
