"""The whole command on a small case: a fleet and a trace of somebody's own, and what its last line says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec

from bench.routing.figures import Figures
from bench.routing.fleet import FLEETS
from bench.routing.report import Table

ROOT = Path(__file__).parents[2]


def run(*options: str) -> str:
    command = [sys.executable, "-m", "bench.routing", "--processes", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_a_fleet_and_a_trace_from_files_end_with_a_result(tmp_path: Path) -> None:
    fleet, trace = tmp_path / "fleet.json", tmp_path / "trace.jsonl"
    fleet.write_bytes(msgspec.json.encode(FLEETS["f2"]))
    rows = [{"at_s": number / 2, "prompt_tokens": 900, "output_tokens": 20} for number in range(50)]
    trace.write_text("\n".join(['{"potluck_trace": 1}', *(json.dumps(row) for row in rows)]))
    policies = [word for name in ("least_requests", "potluck", "clairvoyant") for word in ("--policy", name)]
    said = run("--fleet", str(fleet), "--trace", str(trace), "--seed", "4", *policies)

    assert re.fullmatch(
        r"RESULT routing fleet=f2 p95_vs_least_requests=[\d.]+ worst=[\d.]+ e2e=[\d.]+ goodput=[\d.]+ .*",
        said.splitlines()[-1],
    )


def test_without_traces_the_table_says_so(tmp_path: Path) -> None:
    said = run("--quick", "--fleet", "h2", "--seed", "1", "--data", str(tmp_path))

    assert "without mooncake" in said
    assert said.splitlines()[-1].startswith("RESULT routing fleet=h2 p95_vs_least_requests=")


def figures(p95_s: float, goodput: float = 0.9) -> Figures:
    return Figures(0.1, p95_s, 2 * p95_s, p95_s + 1, goodput, 0.5, (("mac", 0.5),), 0.1, 100)


def test_ratios_are_taken_seed_by_seed_and_goodput_against_the_best_rival() -> None:
    results = {
        ("chat", "least_requests"): [figures(10.0), figures(100.0)],
        ("chat", "lmetric"): [figures(5.0, 0.95), figures(50.0, 0.95)],
        ("chat", "potluck"): [figures(1.0, 0.94), figures(40.0, 0.94)],
        ("chat", "clairvoyant"): [figures(1.0), figures(40.0)],
    }
    line = Table("f1", ("chat",), ("least_requests", "lmetric", "potluck", "clairvoyant"), results).result()

    assert "fleet=f1 p95_vs_least_requests=0.200 worst=0.200 " in line
    assert "goodput=0.940 goodput_behind=0.010 vs_clairvoyant=1.000 " in line
