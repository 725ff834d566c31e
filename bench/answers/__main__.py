"""`python -m bench.answers`: the same questions to a real engine, and again to what the gateway has kept."""

import argparse
import sys
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import httpx2

from bench.one_machine import BenchError, measured, one_machine

CONFIG = """\
version: 1
models: {smollm2: {source: "packaged:smollm2", engine: llamacpp, context: 2k, slots: 2, answers_kept: 1h}}
"""
QUESTIONS, REPEATS, ANSWER_TOKENS = 20, 1000, 32
QUICK_QUESTIONS, QUICK_REPEATS = 4, 100
KEPT_AFTER_S = 2.0  # the gateway writes what it keeps several times a second


def run(scratch: Path, questions: int, repeats: int) -> None:
    with one_machine(CONFIG, scratch / "state") as told:
        headers = {"authorization": f"Bearer {told['api_key']}"}
        with httpx2.Client(base_url=f"{told['endpoint']}/", headers=headers, timeout=120, trust_env=False) as client:
            _ask(client, questions)  # an engine's first request is not like others
            engine = [_ask(client, number) for number in range(questions)]
            sleep(KEPT_AFTER_S)
            again = [_ask(client, number % questions) for number in range(repeats)]
    if {word for _, word in engine} != {"miss"} or {word for _, word in again} != {"hit"}:
        raise BenchError("an answer came from where it should not")
    print(f"{'answers':>18} {'count':>6} {'p50 ms':>8} {'p99 ms':>8}")
    for name, found in (("of the engine", engine), ("given again", again)):
        times = sorted(seconds for seconds, _ in found)
        print(f"{name:>18} {len(times):>6} {median(times) * 1e3:>8.2f} {times[len(times) * 99 // 100] * 1e3:>8.2f}")
    speedup = median(seconds for seconds, _ in engine) / median(seconds for seconds, _ in again)
    print(f"RESULT answers speedup={speedup:.1f} repeats={repeats}")


def _ask(client: httpx2.Client, number: int) -> tuple[float, str]:
    """Seconds to the whole answer, and what its header says of the cache."""
    messages = [{"role": "user", "content": f"Tell me something about the number {number}."}]
    body = {"model": "smollm2", "messages": messages, "max_tokens": ANSWER_TOKENS, "temperature": 0}
    began_s = monotonic()
    answer = client.post("chat/completions", json=body)
    seconds = monotonic() - began_s
    if answer.status_code != 200:
        raise BenchError(answer.text[:500])
    return seconds, answer.headers.get("x-potluck-cache", "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.answers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few questions: shows that all works, measures little")
    few = parser.parse_args().quick
    counts = (QUICK_QUESTIONS, QUICK_REPEATS) if few else (QUESTIONS, REPEATS)
    return measured("answers", lambda scratch: run(scratch, *counts))


if __name__ == "__main__":
    sys.exit(main())
