"""A cluster that changes all the time, a gateway in its midst, and a look at every byte that reaches a machine."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import cast

from cluster.jobs import JobPart
from cluster.knowledge import Ask, Found, FoundChunk, FoundPassage, Locator, Reader
from cluster.privacy import ClassRule, rules_of
from cluster.snapshot import ClusterSnapshot, KeyRecord, ModelState, NodeView
from inventory.catalog import ModelName
from inventory.paths import StatePaths
from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import EngineSnapshot, EngineState, NodeId
from router.batches.house import GatewayHouse
from router.batches.relay_jobs import RelayJobs
from router.batches.values import LineJob, encode_job
from router.cache_store import CacheStore
from router.call_context import UnderWay
from router.errors import ApiError
from router.in_house import InHouse
from router.request import Api
from router.server_tools import Knowledge
from router.service import Gateway, build_gateway
from router.settings import GatewaySettings
from router.view import GatewayView
from support.gateway import EVERYTHING, KEY, access_with, cluster_of, engine_at, key_record, node_with
from support.manual_clock import ManualClock
from support.wire_engines import EngineLoop, Engines, Sent

ZONES = ("clinic", "office", "rented")
CLASSES: tuple[str, ...] = ("private", "staff", "medical", "trial")
KEYS = {KEY: "private", "pl_staff1_" + "s" * 43: "staff", "pl_medic1_" + "m" * 43: "medical"}
MACHINES = tuple(f"m{number}" for number in range(6))
MODELS = ("toy", "spare", "vec")
RATES = Rates(5000.0, 1e9, 0.005, 0.0, 0.0)
_MARKS = re.compile(r"\[\[([a-z+]*)\]\]")


@dataclass
class Machine:
    name: str
    zone: str
    up: bool = True
    listed: bool = True
    states: dict[str, EngineState] = None  # type: ignore[assignment]  # set in __post_init__

    def __post_init__(self) -> None:
        self.states = dict.fromkeys(MODELS, "ready")


class Writer:
    """A client that is told its answer, and leaves when it likes. Implements nodes.relay.contract.Writer."""

    paused = False

    def __init__(self, world: "World", request_id: str) -> None:
        self._world, self.request_id, self.status, self.over = world, request_id, 0, False
        self._said = b""

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        self.status = status
        self._end(headers, body)

    def begin_stream(self, status: int, headers: bytes) -> None:
        self.status, self._headers = status, headers

    def write(self, data: bytes) -> None:
        self._said += data

    def end(self) -> None:
        self._end(self._headers, self._said)

    def abort(self) -> None:
        self.over = True

    def unsent_bytes(self) -> int:
        return 0

    def _end(self, headers: bytes, body: bytes) -> None:
        self.over = True
        self._world.told(self, b"x-potluck-cache: hit" in headers, body)


class Papers:
    """Documents of classes, which every question finds. The other methods are not asked for here."""

    def __init__(self, world: "World") -> None:
        self._world, self.classes = world, frozenset[str]()
        self.given: dict[str, frozenset[str]] = {}  # by the request's id

    def usual_stores(self, reader: Reader, model: str) -> tuple[str, ...]:
        return ("vs_papers",) if self.classes else ()

    async def search(self, reader: Reader, ask: Ask) -> Found:
        await asyncio.sleep(0)
        classes = self.given[reader.request_id] = self.classes
        said = f"[[{'+'.join(sorted(classes))}]] what a document says"
        where = ("file-1", "paper.txt", 1)
        chunk = FoundChunk("c1", "vs_papers", *where, 1.0, said, Locator(), 0, len(said), {}, True, "for a test")
        passage = FoundPassage(1, "vs_papers", *where, "paper.txt", (chunk,))
        return Found((chunk,), (passage,), said, "found", classes)


class World:
    """`leaks` is what must stay empty."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random, self.counts, self.leaks = Random(seed), Counter[str](), list[str]()
        self.clock = ManualClock()
        self.engines = Engines(self._arrived)
        cast(EngineLoop, asyncio.get_running_loop()).engines = self.engines
        self.machines = {name: Machine(name, ZONES[at % 3]) for at, name in enumerate(MACHINES)}
        self.rules = self._usual_rules()
        self.asleep = False
        self.of: dict[str, frozenset[str]] = {}  # classes, by the request's id
        self.got: list[tuple[str, str]] = []  # (request, machine), of those that were bound
        self.live: list[tuple[UnderWay, Writer]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self._sequence = 1
        self._reached: set[str] = set()
        paths = StatePaths.at(root / "state").ensure()
        self.store = CacheStore(root / "cache.db", self.clock, lambda: 1 << 22)
        self.view = GatewayView(self.clock)
        settings = GatewaySettings(paths, sweep_s=3600.0, wait_s=20.0, failed_patience_s=5.0)
        self.gateway: Gateway = build_gateway(settings, self.view, clock=self.clock, cache=self.store)
        self.view.install_access(access_with(paths, [self._key(key) for key in KEYS]))
        self.publish()
        self.papers = Papers(self)
        self.dispatcher = self.gateway.dispatcher
        self.dispatcher.knowledge = cast(Knowledge, self.papers)
        self.in_house, self.house = InHouse(self.dispatcher, 30.0), GatewayHouse(self.dispatcher)
        self.jobs = RelayJobs(self.dispatcher)

    # What is true of the cluster

    def zones_of(self, classes: frozenset[str]) -> frozenset[str] | None:
        """By the rules as they are now, reckoned here and not by the gateway."""
        allowed: frozenset[str] | None = None
        named = {rule.name: rule.zones for rule in self.rules}
        for name in classes:
            if name not in named:
                return frozenset()
            zones = named[name]
            if zones is not None:
                allowed = frozenset(zones) if allowed is None else allowed & frozenset(zones)
        return allowed

    def may(self, machine: str, classes: frozenset[str]) -> bool:
        zones = self.zones_of(classes)
        return zones is None or self.machines[machine].zone in zones

    def _arrived(self, sent: Sent) -> None:
        """The step in which a machine sees it."""
        machine = MACHINES[(sent.port - 1) // len(MODELS)]
        said = sent.body.decode()
        if '"prompt":"1"' in said or '"input":"1"' in said:
            return  # a sign of life: nobody's
        marked = [frozenset(filter(None, one.split("+"))) for one in _MARKS.findall(said)]
        classes = self.of.get(sent.request_id, frozenset[str]()).union(*marked)
        self._count(sent.request_id, said)
        self.counts["sent"] += 1
        if not self.may(machine, classes):
            self.leaks.append(f"{sorted(classes)} reached {machine} in {self.machines[machine].zone}")
        if self.zones_of(classes) is not None:
            self.counts["bound"] += 1
            self.got.append((sent.request_id, machine))

    def _count(self, request_id: str, said: str) -> None:
        self.counts["documents"] += "what a document says" in said
        self.counts["failovers"] += request_id in self._reached
        self.counts["warmed"] += request_id not in self.of and "word1 " in said
        self._reached.add(request_id)

    def told(self, writer: Writer, hit: bool, body: bytes) -> None:
        """A client has its answer, which says of which classes the request was that an engine answered."""
        self.counts["refused" if writer.status in (400, 403) else f"status_{writer.status}"] += 1
        self.counts["cached"] += hit
        origin = re.search(rb"answer of ([a-z+]+)", body)
        classes = self.of[writer.request_id] | self.papers.given.get(writer.request_id, frozenset())
        if origin is not None and frozenset(origin.group(1).decode().split("+")) != classes:
            self.leaks.append(f"an answer of {origin.group(1).decode()} was given to {sorted(classes)}")

    def answer(self, sent: Sent) -> None:
        marks = frozenset(name for one in _MARKS.findall(sent.body.decode()) for name in one.split("+") if name)
        classes = self.of.get(sent.request_id, frozenset[str]()) | marks
        sent.answer(f"answer of {'+'.join(sorted(classes))}")

    def noted(self) -> list[tuple[str, str]]:
        """What the audit is told since it was last asked."""
        witness = self.dispatcher.context.witness
        found = [(one.about, str(one.node_id)) for one in witness.take()]
        witness.told()
        return found

    # What happens

    def ask(self, api: Api = "chat") -> None:
        key = self.random.choice(tuple(KEYS))
        added = frozenset(self.random.sample(CLASSES, self.random.choice((0, 0, 0, 1, 2))))
        headers = {b"authorization": f"Bearer {key}".encode()}
        if added:
            headers[b"x-potluck-data-class"] = ",".join(sorted(added)).encode()
        classes = added | {KEYS[key]}
        if self.random.random() < 0.4:
            headers[b"x-session-id"] = b"s%d" % self.random.randrange(40)
        body = self._body(api, classes)
        arrival = self.dispatcher.arrive(api, headers)
        self.of[arrival.request_id] = classes
        writer = Writer(self, arrival.request_id)
        call = self.dispatcher.begin(arrival, body, writer)
        if call is not None and not writer.over:
            self.live.append((call, writer))

    def ask_in_house(self) -> None:
        key = self.random.choice(tuple(KEYS))
        classes = frozenset(self.random.sample(CLASSES, self.random.choice((0, 1, 2))))
        reader = Reader("home", key.split("_")[1], "family", KEYS[key], classes=classes, admitted=True)
        mark = "+".join(sorted(classes | {KEYS[key]}))
        body = json.dumps({"model": "vec", "input": [f"[[{mark}]] {self.random.randrange(500)}"]}).encode()
        self._begin(self._in_house(reader, self.random.random() < 0.5, body))

    def run_line(self) -> None:
        """A line of a batch, on a machine that is chosen as batches choose."""
        key = self.random.choice(tuple(KEYS))
        added = frozenset(self.random.sample(CLASSES, self.random.choice((0, 1, 2))))
        identity = self.view.keys.holder_of(key.split("_")[1], self.clock.wall_s())
        assert identity is not None
        places, _ = self.house.rooms(identity, "toy", added)
        mark = "+".join(sorted(added | {KEYS[key]}))
        said = {"model": "toy", "messages": [{"role": "user", "content": f"[[{mark}]] a line"}]}
        job = LineJob("batch_1", "one", "chat", identity, json.dumps(said).encode(), tuple(sorted(added)))
        node_id = self.random.choice(sorted(places)) if places else NodeId(self.random.choice(MACHINES))
        self.counts["lines"] += 1
        self._begin(self._line(JobPart(node_id, encode_job(job))))

    def settle_one(self) -> None:
        """An engine answers, fails, or dies in the middle of it."""
        if not self.engines.pending:
            return
        sent = self.random.choice(self.engines.pending)
        chance = self.random.random()
        if chance < 0.7:
            self.answer(sent)
        elif chance < 0.8:
            self.counts["failed"] += 1
            sent.fail()
        elif chance < 0.9:
            self.counts["died"] += 1
            sent.begin_and_die()
        else:
            self.counts["died"] += 1
            sent.die()

    def leave_one(self) -> None:
        if self.live:
            call, _ = self.live.pop(self.random.randrange(len(self.live)))
            call.client_gone()

    def change(self) -> None:
        """Something of the cluster is another way from now on."""
        machine = self.machines[self.random.choice(MACHINES)]
        kind = self.random.randrange(8)
        if kind == 0:
            machine.zone = self.random.choice(ZONES)
        elif kind == 1:
            machine.up = not machine.up
        elif kind == 2 and machine.name != MACHINES[0]:
            machine.listed = not machine.listed
        elif kind == 3:
            machine.states[self.random.choice(MODELS)] = self.random.choice(("ready", "ready", "starting", "backoff"))
        elif kind == 4:
            self.rules = self._other_rules()
        elif kind == 5:
            self.rules = self._usual_rules()
        elif kind == 6:
            self.asleep = not self.asleep
        else:
            found = self.random.random() < 0.3
            self.papers.classes = frozenset((self.random.choice(CLASSES),)) if found else frozenset()
        self.publish()

    def heal(self) -> None:
        """All is well for a while: otherwise most of what is asked would find nobody."""
        self.asleep = False
        for at, machine in enumerate(self.machines.values()):
            machine.up = machine.listed = True
            machine.states = dict.fromkeys(MODELS, "ready")
            machine.zone = ZONES[0] if at == 0 else machine.zone
        self.publish()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.dispatcher.context.sweep(self.clock.monotonic_s())

    def tidy(self) -> None:
        self.live = [(call, writer) for call, writer in self.live if not writer.over]
        self.store.flush()

    async def close(self) -> None:
        for call, _ in self.live:
            call.client_gone()
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.gateway.close()
        self.store.close()

    # Inside

    def publish(self) -> None:
        self._sequence += 1
        self.engines.dead = {
            self._port(machine.name, model) for machine in self.machines.values() for model in MODELS if not machine.up
        }
        self.view.install_cluster(self._snapshot())

    def _snapshot(self) -> ClusterSnapshot:
        nodes = [self._node(machine) for machine in self.machines.values() if machine.listed]
        snapshot = cluster_of((), MODELS, self._sequence, dict.fromkeys(("vec",), EVERYTHING))
        zones = tuple(sorted({node.zone for node in nodes}))
        state: ModelState = "asleep" if self.asleep else "ready"
        models = [replace(model, zones=zones, context_tokens=100_000) for model in snapshot.models]
        toy = replace(models[0], state=state, keep_alive_s=600.0, answers_kept_s=60.0, fallback=(ModelName("spare"),))
        return replace(snapshot, nodes=tuple(nodes), models=(toy, *models[1:]), classes=self.rules, warming="on")

    def _node(self, machine: Machine) -> NodeView:
        engines = [self._engine(machine, model) for model in MODELS if model != "spare" or machine.name == MACHINES[1]]
        node = replace(node_with(engines), node_id=NodeId(machine.name), zone=machine.zone)
        return node if machine.name == MACHINES[0] or machine.up else replace(node, state="suspect")

    def _engine(self, machine: Machine, model: str) -> EngineSnapshot:
        address = Address("127.0.0.1", self._port(machine.name, model))
        name, state = f"{model}.{machine.name}.1", machine.states[model]
        engine = engine_at(address, name, model, state, context_tokens=100_000, slots=16)
        return replace(engine, rates=RATES if model != "vec" else None)

    def _port(self, machine: str, model: str) -> int:
        return MACHINES.index(machine) * len(MODELS) + MODELS.index(model) + 1

    def _key(self, key: str) -> KeyRecord:
        return replace(key_record(key), data_class=KEYS[key])

    def _usual_rules(self) -> tuple[ClassRule, ...]:
        return (
            ClassRule("private"), ClassRule("staff", ("clinic", "office")), ClassRule("medical", ("clinic",)),
            ClassRule("trial", ("clinic", "rented")),
        )  # fmt: skip

    def _other_rules(self) -> tuple[ClassRule, ...]:
        """One is bound another way, or is gone."""
        named = [rule for rule in self._usual_rules() if self.random.random() < 0.9 or rule.name == "private"]
        at = self.random.randrange(len(named))
        zones = tuple(sorted(self.random.sample(ZONES, self.random.choice((1, 2)))))
        named[at] = ClassRule(named[at].name, zones)
        assert rules_of(named)
        return tuple(named)

    def _body(self, api: Api, classes: frozenset[str]) -> bytes:
        """Half of the chats begin with what many of their classes begin with; the others are the same for all."""
        if api == "embeddings":
            return json.dumps({"model": "vec", "input": f"text {self.random.randrange(30)}"}).encode()
        said, stream = f"question {self.random.randrange(6)}", self.random.random() < 0.4
        messages: Sequence[dict[str, str]] = [{"role": "user", "content": said}]
        if self.random.random() < 0.4:
            mark = "+".join(sorted(classes))
            shared = f"[[{mark}]] " + " ".join(f"word{number}" for number in range(600))
            messages = [{"role": "system", "content": shared}, {"role": "user", "content": said}]
        return json.dumps({"model": "toy", "messages": messages, "stream": stream}).encode()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _in_house(self, reader: Reader, background: bool, body: bytes) -> None:
        self.counts["in_house"] += 1
        try:
            await self.in_house.answer(reader, background, "POST /v1/embeddings", body)
        except ApiError as error:
            self.counts["refused"] += error.status == 403

    async def _line(self, part: JobPart) -> None:
        await self.jobs.run("answer_line", (part,))
