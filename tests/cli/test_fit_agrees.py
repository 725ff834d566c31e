"""`potluck fit`, POST /api/v1/fit and the dashboard's matrix agree on questions drawn by chance: on 150 of them, or on
as many as POTLUCK_FIT_QUESTIONS says."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import msgspec

from cli.fit import capacity, fit
from cli.main import PotluckApp
from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.demo import DEMO_TEXT
from cluster.service import HeadSettings
from cluster.snapshot import ClusterSnapshot
from inventory.known_models import KNOWN, QUANTISATIONS
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from support.callers import KEYS, records
from support.command import Place
from support.command_here import potluck
from support.demo import demo_nodes
from support.gateway import access_with, running_gateway
from support.heads import running_head
from support.nodes import until

QUESTIONS, SPOT_CHECKS, SEED = int(os.environ.get("POTLUCK_FIT_QUESTIONS", "150")), 3, 20_261
# One that has not joined, and is only described.
SPARE = "  spare: {hardware: {os: linux, arch: x86_64, ram: 64GiB, vram: [16GiB, 16GiB]}}\nmodels:\n"
MODELS = (*(model.name for model in KNOWN), "bge-m3", "qwen3-14", "no-such-model")
QUANTS = (None, None, None, *QUANTISATIONS, "q3_x")
CONTEXTS = (512, 1000, 2048, 8192, 16_384, 32_768, 100_000, 131_072)
NODES = (None, None, None, "mac-studio", "rtx4090", "poweredge", "spare", "nobody")


@dataclass(frozen=True)
class Question:
    model: str
    context: int
    users: int
    quant: str | None
    kv_bits: int
    node: str | None

    @property
    def body(self) -> dict[str, object]:
        """As programs and the page ask it."""
        optional = {"quant": self.quant, "node": self.node}
        told = {name: value for name, value in optional.items() if value is not None}
        return {"model": self.model, "context": self.context, "users": self.users, "kv_bits": self.kv_bits, **told}

    @property
    def words(self) -> list[str]:
        """As people type it."""
        words = [self.model, "--ctx", str(self.context), "--users", str(self.users), "--kv-bits", str(self.kv_bits)]
        words += ["--quant", self.quant] if self.quant else []
        return [*words, *(["--node", self.node] if self.node else []), "--json"]


@dataclass(frozen=True)
class Answer:
    """Of anybody: a document, or why there is none."""

    document: Any
    refusal: str = ""

    @property
    def expected_exit(self) -> int:
        if self.document is None:
            return 2 if "quantisation" in self.refusal else 4
        return 0 if self.document["fits"] else 3


def drawn(count: int) -> list[Question]:
    random = Random(SEED)
    return [
        Question(
            random.choice(MODELS),
            random.choice(CONTEXTS),
            random.choice((1, 2, 4, 9, 33, 200, 4096)),
            random.choice(QUANTS),
            random.choice((16, 8)),
            random.choice(NODES),
        )
        for _ in range(count)
    ]


async def by_page(client: httpx2.AsyncClient, question: Question) -> Answer:
    """What the matrix is drawn from: the dashboard computes nothing itself."""
    answer = await client.post("/api/v1/fit", json=question.body)
    body = answer.json()
    return Answer(body) if answer.status_code == 200 else Answer(None, body["error"]["message"])


async def by_head(head: AdminClient, question: Question) -> Answer:
    try:
        found = await head.fit(question.body)
    except AdminRefusedError as error:
        return Answer(None, error.message)
    return Answer(json.loads(msgspec.json.encode(found)))


def by_command(out: str, err: str) -> Answer:
    if not out:
        return Answer(None, err.strip().removeprefix("potluck: "))
    document = json.loads(out)
    assert (document.pop("apiVersion"), document.pop("kind")) == ("potluck/v1", "Fit")
    return Answer(document)


def engines_ready(snapshot: ClusterSnapshot) -> int:
    told: Sequence[Any] = [node.snapshot for node in snapshot.nodes if node.snapshot]
    return sum(engine.state == "ready" for one in told for engine in one.engines)


async def test_all_three_agree_on_every_question(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "state").ensure()
    write_secret(paths.config_file, DEMO_TEXT.replace("models:\n", SPARE, 1))
    machines, short = demo_nodes(paths), PotluckApp(pretty_exceptions_enable=False)
    short.command()(fit)
    short.command()(capacity)  # with one command alone there would be no name to say
    agreed: Counter[str] = Counter()
    async with (
        running_gateway(tmp_path, []) as running,
        running_head(HeadSettings(paths, loopback_only=True), machines) as head,
        running.http(None) as client,
    ):
        running.view.install_access(access_with(running.paths, records(), sequence=2))
        await client.post("/dashboard/session", json={"key": KEYS["display"]})
        client.headers |= {"x-potluck-dashboard": "1", "sec-fetch-site": "same-origin"}
        await until(lambda: sum(len(machine.orders) for machine in machines) >= 5, "every engine was ordered")
        for machine in machines:
            machine.become_ready()
        async with asyncio.timeout(30):
            while engines_ready(await head.snapshot()) < 5:  # noqa: ASYNC110  the command asks the same way
                await asyncio.sleep(0.02)

        for number, question in enumerate(drawn(QUESTIONS)):
            direct, page = await by_head(head, question), await by_page(client, question)
            said = await asyncio.to_thread(
                potluck, "fit", paths, *question.words, expect=direct.expected_exit, program=short
            )
            assert page == direct, question
            assert by_command(said.stdout, said.stderr) == direct, question
            if number < SPOT_CHECKS:
                done = await Place(paths.root).potluck("fit", *question.words)
                assert (done.status, by_command(done.out, done.err)) == (direct.expected_exit, direct), question
            agreed.update([row["answer"] for row in direct.document["rows"]] if direct.document else ["refused"])

    # Questions to which every answer is no would prove little.
    assert all(
        agreed[answer] >= QUESTIONS // 25 for answer in ("fits", "with changes", "after evicting", "never", "refused")
    ), agreed
