"""cluster.yaml as types: every section that exists, what it defaults to, and which values make sense.

Reading the file and explaining what is wrong with it is config_load.py. The docstrings under the fields become the
descriptions of cluster.schema.json, so that an editor shows them.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from cluster.config_access import AccessSection
from cluster.config_cache import CacheSection
from cluster.config_limits import LimitRulesSection
from cluster.config_pii import PiiSection
from cluster.config_privacy import PrivacySection
from cluster.config_rag import RagSection
from cluster.config_router import RouterSection
from cluster.config_routes import RouteSection
from cluster.config_sealed import SealedSection
from cluster.config_section import Section
from cluster.config_traces import TracesSection
from cluster.config_values import (
    LOOPBACK_HOSTS,
    MOST_REPLICAS,
    Address,
    Alias,
    Bytes,
    ConfiguredName,
    Duration,
    LabelName,
    LabelValues,
    LoopbackHost,
    NodeName,
    Options,
    Source,
    Tokens,
    read_replicas,
)
from nodes.snapshot import EngineKind


class ClusterSection(Section):
    name: NodeName = "home"
    """What this cluster is called in `potluck status` and on the dashboard."""
    listen: Address | None = None
    """Address of the head on the network that its machines share. Absent: no other machine can join.
    A change takes effect when the head starts again."""


class JoinSection(Section):
    """Where other machines join, and where members renew their certificates: TLS 1.3, at `cluster.listen`."""

    port: int = Field(default=8401, ge=0, le=65535)
    """0 takes any free port, which is for tests: members must find the same port again."""
    announce: bool = False
    """Say on the network of `cluster.listen`, by mDNS, where the head is, so that `potluck join` needs no HOST:PORT.
    Off by itself: mDNS knows no TLS, and tells everybody there that a cluster exists. A change takes effect when the
    head starts again."""


class RaySection(Section):
    """The fabric between machines that have joined. Without it every link is https, and nothing else changes."""

    enabled: bool = True
    port: int = Field(default=8410, ge=1024, le=65485)
    """First of the ports that Ray uses, the same on every machine: 7 from here, and 40 from 10 further on.
    `potluck firewall` prints rules that leave them to the members."""


class TimeoutsSection(Section):
    connect: Duration = Field(default=1.0, json_schema_extra={"default": "1s"})
    """Until an engine accepts the connection. Then the next engine is tried."""
    first_token: Duration = Field(default=600.0, json_schema_extra={"default": "10m"})
    """The longest silence of any answer, the time to read its prompt included. An engine that hangs is found sooner."""
    idle: Duration = Field(default=12.0, json_schema_extra={"default": "12s"})
    """Silence of an engine in mid-answer, when its counters stand still too. Then the stream ends with an error event,
    and the engine gets no requests until it has proved that it works."""
    total: Duration = Field(default=1800.0, json_schema_extra={"default": "30m"})
    """A whole request."""
    drain: Duration = Field(default=30.0, json_schema_extra={"default": "30s"})
    """How long an engine that must go may finish what it has begun."""
    wait: Duration = Field(default=60.0, json_schema_extra={"default": "1m"})
    """How long a request waits for a model that is not running, if its answer is not streamed. Then it gets 503 with
    Retry-After. A streamed one is told how things stand every few seconds, and may wait for as long as `total`."""


class LanSection(Section):
    """The endpoint for other machines: HTTPS, with the same API keys."""

    listen: Address
    """Address of this machine on the network, or 0.0.0.0 for every one."""
    port: int = Field(default=8443, ge=0, le=65535)
    names: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")], ...] = ()
    """Other names and addresses that clients use for this machine; they go into the cluster's certificate."""
    certificate: Annotated[str, Field(pattern="^/.+$")] | None = None
    """A certificate chain of your own (PEM). Absent: the cluster's, which clients trust by STATE/ca/ca.crt."""
    key: Annotated[str, Field(pattern="^/.+$")] | None = None
    """The key of `certificate` (PEM), readable by this user only."""

    @model_validator(mode="after")
    def _a_pair(self) -> "LanSection":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("needs both `certificate` and `key`, or neither")
        return self


class GatewaySection(Section):
    host: LoopbackHost = "127.0.0.1"
    """Address of the OpenAI-compatible endpoint. Loopback only: 127.0.0.1, ::1 or localhost."""
    port: int = Field(default=8400, ge=0, le=65535)
    """0 takes any free port; `potluck status` says which."""
    lan: LanSection | None = None
    """Absent: only programs on this machine reach the endpoint."""
    hosts: tuple[Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9.-]{1,253}$")], ...] = ()
    """Names that a reverse proxy or a container uses for this machine; `*.` stands for any beginning. Others than its
    own name, `localhost` and addresses are refused, so that no web page can pass for the endpoint."""
    timeouts: TimeoutsSection = TimeoutsSection()
    traces: TracesSection | None = None
    """Absent: there are none."""


class MemorySection(Section):
    reserve: Bytes | None = None
    """Kept free for the operating system and the machine's owner, on top of what other programs use."""


class HardwareSection(Section):
    """A description of the machine, for planning before it has joined. A machine that has joined reports its own."""

    kind: str | None = None
    """What people call it: "Mac Studio M3 Ultra"."""
    os: Literal["linux", "macos", "windows"] | None = None
    arch: Literal["x86_64", "arm64"] | None = None
    cpu: str | None = None
    ram: Bytes | None = None
    """Main memory of a machine whose GPU, if any, has its own."""
    unified: Bytes | None = None
    """Memory that CPU and GPU share (Apple silicon)."""
    vram: tuple[Bytes, ...] = ()
    """Memory of each GPU, one entry per GPU."""

    @model_validator(mode="after")
    def _one_main_memory(self) -> "HardwareSection":
        if self.ram is not None and self.unified is not None:
            raise ValueError("a machine has `ram` or `unified` memory, not both")
        return self


class NodeSection(Section):
    zone: NodeName = "default"
    """Privacy zone: classes below `privacy.classes` say in which zones they may be."""
    transport: Literal["ray", "https"] = "ray"
    """How the head speaks to this machine. `ray` falls back to https by itself whenever Ray is down."""
    engines: tuple[EngineKind, ...] = ()
    """Engine kinds this machine may run, the preferred one first. Empty: whatever is installed on it."""
    memory: MemorySection = MemorySection()
    hardware: HardwareSection | None = None
    labels: dict[LabelName, str] = {}
    """Free words about the machine, which `models.NAME.where` can ask for. `potluck nodes label` adds others."""


class ReplicasSection(Section):
    """How many engines serve a model: at least `min`, and more, up to `max`, where memory is left when every model has
    what it must have."""

    min: int = Field(default=1, ge=0, le=MOST_REPLICAS)
    max: int = Field(ge=0, le=MOST_REPLICAS)

    @model_validator(mode="after")
    def _in_order(self) -> "ReplicasSection":
        if self.min > self.max:
            raise ValueError(f"`min: {self.min}` is more than `max: {self.max}`")
        return self


Replicas = Annotated[ReplicasSection, BeforeValidator(read_replicas)]


class ModelSection(Section):
    source: Source | None = None
    """Where the weights come from, for every engine kind: packaged:NAME, file:/PATH,
    hf:ORG/REPO, hf:ORG/REPO/FILE.gguf or hf:ORG/REPO:QUANT (each with @REVISION after REPO)."""
    sources: dict[EngineKind, Source] = {}
    """Where the weights come from, by engine kind, when the kinds want different formats."""
    context: Tokens = Field(default=8192, json_schema_extra={"default": "8k"})
    """Tokens one request may hold, prompt and answer together."""
    slots: int = Field(default=4, ge=1, le=1024)
    """Requests one engine answers at the same time."""
    cache: Tokens | None = None
    """Tokens that all requests of one engine share, prompts and answers together, where few requests are as long as
    `context`: less than `context` x `slots`, which is what an engine keeps otherwise. A request that finds them
    promised to others waits. One that names no `max_tokens` is promised what `context` leaves."""
    on: tuple[NodeName, ...] = ()
    """Machines that may run it, the preferred one first. Empty: any."""
    prefer: tuple[NodeName, ...] = ()
    """Machines that it should rather run on, the most preferred one first. No other is excluded."""
    where: dict[LabelName, LabelValues] = {}
    """Labels that a machine must have to run it: each with this value, or with one of these."""
    replicas: Replicas = Field(default=ReplicasSection(min=1, max=1), json_schema_extra={"default": 1})
    """How many engines serve it: a number, or `{min: 1, max: 3}` for more where memory is left over. 0 keeps the entry
    and runs nothing."""
    engine: EngineKind | None = None
    """Insist on one engine kind. Otherwise the machine's preference decides."""
    keep_alive: Duration | None = None
    """It sleeps until somebody asks for it, and again once nobody has for so long. Absent: it always runs."""
    warm: bool = False
    """With `keep_alive`: it runs without being asked and is never idle, but makes room for a model that is asked for,
    and comes back when there is room again."""
    fallback: tuple[ConfiguredName, ...] = ()
    """Models that answer in its place while it cannot serve and is not on its way, the preferred one first."""
    answers_kept: Duration | None = None
    """The same request of the same tenant gets the answer that it got before, for so long. Absent: every request goes
    to an engine. A client that wants a new one sends `cache-control: no-cache`."""
    options: Options = {}
    """Settings of the engine itself. The engine's adapter says which it knows. Those below the name of an engine kind,
    `vllm: {…}`, are for that kind only, and come before the others."""

    @model_validator(mode="after")
    def _what_goes_together(self) -> "ModelSection":
        if (self.source is None) == (not self.sources):
            raise ValueError("needs `source` (one for all engines) or `sources` (one per engine kind), not both")
        if self.cache is not None and not self.context <= self.cache <= self.context * self.slots:
            raise ValueError(
                f"`cache: {self.cache}` must hold at least one request (`context: {self.context}`), "
                f"and at most as many as there are slots ({self.context * self.slots})"
            )
        if self.engine is not None and self.sources and self.engine not in self.sources:
            raise ValueError(f"`engine: {self.engine}` has no entry under `sources`")
        return self

    @model_validator(mode="after")
    def _that_sleeps(self) -> "ModelSection":
        if self.keep_alive is None and self.warm:
            raise ValueError("`warm` is for models with `keep_alive`; one without it always runs")
        if self.keep_alive is not None and self.replicas.min == 0 < self.replicas.max:
            raise ValueError("with `keep_alive`, `replicas.min` is at least 1: it counts while the model is awake")
        return self

    def source_for(self, kind: EngineKind) -> str | None:
        return self.source or self.sources.get(kind)


class AuditSection(Section):
    """Who did what, on the head's disk."""

    retention: Duration = Field(default=2557 * 86400.0, json_schema_extra={"default": "2557d"})
    """How long records are kept at least. They go by whole segments, a month or 100,000 records each."""


class ResidencySection(Section):
    """How models with `keep_alive` that do not fit together take turns."""

    dwell: Duration = Field(default=180.0, json_schema_extra={"default": "3m"})
    """How long a model that serves keeps its place, however many ask for others: at most one swap in that time on each
    machine. Shorter means quicker turns, and more time spent loading."""


class ClusterConfig(Section):
    """The whole of cluster.yaml: which machines, which models, and how clients reach them."""

    version: Literal[1]
    """Version of this file's format."""
    cluster: ClusterSection = ClusterSection()
    join: JoinSection = JoinSection()
    ray: RaySection = RaySection()
    gateway: GatewaySection = GatewaySection()
    access: AccessSection = AccessSection()
    limits: LimitRulesSection = LimitRulesSection()
    residency: ResidencySection = ResidencySection()
    audit: AuditSection = AuditSection()
    sealed: SealedSection = SealedSection()
    nodes: dict[NodeName, NodeSection] = {}
    """The machines, by name. Empty: the one this runs on."""
    models: dict[ConfiguredName, ModelSection] = {}
    """What the cluster serves, by the name clients ask for."""
    aliases: dict[Alias, ConfiguredName] = {}
    """Other names clients may use for a model."""
    routes: dict[Alias, RouteSection] = {}
    """Names behind which rules choose a model."""
    cache: CacheSection = CacheSection()
    """What the gateway keeps of answers, where `models.NAME.answers_kept` says so."""
    pii: PiiSection = PiiSection()
    privacy: PrivacySection = PrivacySection()
    rag: RagSection = RagSection()
    router: RouterSection = RouterSection()
    """How an engine is chosen among those that serve a model."""

    @model_validator(mode="after")
    def _a_certificate_for_the_network(self) -> "ClusterConfig":
        lan = self.gateway.lan
        if lan is not None and lan.certificate is None and self.cluster.listen is None:
            raise ValueError("`gateway.lan` needs `cluster.listen`, or `certificate` and `key` of your own")
        return self

    @model_validator(mode="after")
    def _traces_that_stay_here(self) -> "ClusterConfig":
        traces, lan = self.gateway.traces, self.gateway.lan
        own = {*LOOPBACK_HOSTS, self.cluster.listen, lan.listen if lan is not None else None}
        if traces is not None and not traces.elsewhere and urlsplit(traces.endpoint).hostname not in own:
            raise ValueError("`gateway.traces.endpoint` is another machine's; say `elsewhere: true` if they may leave")
        return self
