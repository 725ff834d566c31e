"""cluster.yaml as types: every section that exists, what it defaults to, and which values make sense.

Reading the file and explaining what is wrong with it is config_load.py. The docstrings under the fields become the
descriptions of cluster.schema.json, so that an editor shows them.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from cluster.units import BYTES_PATTERN, DURATION_PATTERN, TOKENS_PATTERN, parse_bytes, parse_duration_s, parse_tokens
from inventory.sources import FileSource, parse_source
from nodes.snapshot import EngineKind

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


def _text(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


def _loopback(host: str) -> str:
    if host not in LOOPBACK_HOSTS:
        raise ValueError(
            f"{host!r} is not a loopback address; listening on a network needs TLS, which potluck cannot do yet. "
            "Use 127.0.0.1, and reach it from another machine through an SSH tunnel"
        )
    return host


def _source(source: str) -> str:
    parsed = parse_source(source)
    if isinstance(parsed, FileSource) and not parsed.path.startswith("/"):
        raise ValueError(f"{source!r} must name an absolute path: services run in the state directory")
    return source


def _option(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


# A node name has no dot, so that an engine id, MODEL.NODE.NUMBER, can only be read one way.
NODE_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
MODEL_NAME_PATTERN = r"^[a-z0-9]([a-z0-9.-]{0,94}[a-z0-9])?$"
ALIAS_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
SOURCE_PATTERN = r"^(packaged:|hf:|file:/).+$"

Bytes = Annotated[int, BeforeValidator(parse_bytes), _text(BYTES_PATTERN, "72GiB", "512MiB")]
Duration = Annotated[float, BeforeValidator(parse_duration_s), _text(DURATION_PATTERN, "10m", "90s")]
Tokens = Annotated[
    int,
    BeforeValidator(parse_tokens),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": TOKENS_PATTERN}]}),
]
NodeName = Annotated[str, Field(pattern=NODE_NAME_PATTERN)]
ConfiguredName = Annotated[str, Field(pattern=MODEL_NAME_PATTERN)]
Alias = Annotated[str, Field(pattern=ALIAS_PATTERN)]
Source = Annotated[str, AfterValidator(_source), _text(SOURCE_PATTERN, "packaged:smollm2", "hf:Qwen/Qwen3-14B-AWQ")]
OptionText = Annotated[
    str, BeforeValidator(_option), WithJsonSchema({"type": ["string", "integer", "number", "boolean"]})
]


class Section(BaseModel):
    """A mapping in cluster.yaml. A key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ClusterSection(Section):
    name: NodeName = "home"
    """What this cluster is called in `potluck status` and on the dashboard."""


class TimeoutsSection(Section):
    connect: Duration = Field(default=1.0, json_schema_extra={"default": "1s"})
    """Until an engine accepts the connection. Then the next engine is tried."""
    first_token: Duration = Field(default=120.0, json_schema_extra={"default": "2m"})
    """Until the first byte of an answer, the time to read the prompt included."""
    idle: Duration = Field(default=60.0, json_schema_extra={"default": "60s"})
    """Between two pieces of a streamed answer. After it the stream ends with an error event."""
    total: Duration = Field(default=1800.0, json_schema_extra={"default": "30m"})
    """A whole request."""
    drain: Duration = Field(default=30.0, json_schema_extra={"default": "30s"})
    """How long an engine that must go may finish what it has begun."""


class GatewaySection(Section):
    host: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1"
    """Address of the OpenAI-compatible endpoint. Loopback only: 127.0.0.1, ::1 or localhost."""
    port: int = Field(default=8400, ge=0, le=65535)
    """0 takes any free port; `potluck status` says which."""
    timeouts: TimeoutsSection = TimeoutsSection()


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
    """Privacy zone. A request may be bound to a zone."""
    engines: tuple[EngineKind, ...] = ()
    """Engine kinds this machine may run, the preferred one first. Empty: whatever is installed on it."""
    memory: MemorySection = MemorySection()
    hardware: HardwareSection | None = None
    labels: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]{0,62}$")], str] = {}
    """Free words about the machine; nothing depends on them."""


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
    on: tuple[NodeName, ...] = ()
    """Machines that may run it, the preferred one first. Empty: any."""
    replicas: int = Field(default=1, ge=0, le=64)
    """How many engines serve it. 0 keeps the entry and runs nothing."""
    engine: EngineKind | None = None
    """Insist on one engine kind. Otherwise the machine's preference decides."""
    options: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")], OptionText] = {}
    """Settings of the engine itself. The engine's adapter says which it knows."""

    @model_validator(mode="after")
    def _one_kind_of_source(self) -> "ModelSection":
        if (self.source is None) == (not self.sources):
            raise ValueError("needs `source` (one for all engines) or `sources` (one per engine kind), not both")
        if self.engine is not None and self.sources and self.engine not in self.sources:
            raise ValueError(f"`engine: {self.engine}` has no entry under `sources`")
        return self

    def source_for(self, kind: EngineKind) -> str | None:
        return self.source or self.sources.get(kind)


class ClusterConfig(Section):
    """The whole of cluster.yaml: which machines, which models, and how clients reach them."""

    version: Literal[1]
    """Version of this file's format."""
    cluster: ClusterSection = ClusterSection()
    gateway: GatewaySection = GatewaySection()
    nodes: dict[NodeName, NodeSection] = {}
    """The machines, by name. Empty: the one this runs on."""
    models: dict[ConfiguredName, ModelSection] = {}
    """What the cluster serves, by the name clients ask for."""
    aliases: dict[Alias, ConfiguredName] = {}
    """Other names clients may use for a model."""
