"""The values of cluster.yaml: names, sizes, durations and the like, how people write them and what they mean."""

from ipaddress import ip_address
from typing import Annotated, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, WithJsonSchema

from cluster.key_order import OWNER
from cluster.units import BYTES_PATTERN, DURATION_PATTERN, TOKENS_PATTERN, parse_bytes, parse_duration_s, parse_tokens
from inventory.sources import FileSource, parse_source
from nodes.snapshot import EngineKind

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


def _text(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


def loopback(host: str) -> str:
    """Raises ValueError for any other address."""
    if host not in LOOPBACK_HOSTS:
        raise ValueError(
            f"{host!r} is not a loopback address; plain HTTP stays on this machine. "
            "Use 127.0.0.1; other machines come by HTTPS, see gateway.lan"
        )
    return host


def _issuers_tenant(name: str) -> str:
    if name == OWNER:
        raise ValueError(f"`{OWNER}` is the tenant of the owner's key only; give another")
    return name


def _address(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        raise ValueError(f"{host!r} is not an IP address; 0.0.0.0 is every address of this machine") from None


_URL = r"^https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?$"


def _https(url: str) -> str:
    """Raises ValueError for what is no plain address, or one whose answers anybody on the way could have written."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{url!r} is not an address") from None
    if parts.scheme not in ("https", "http") or not host or parts.username is not None or "@" in parts.netloc:
        raise ValueError(f"{url!r} is not an address that begins with https://")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError(f"{url!r} has more than a host and a path")
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ValueError(f"{url!r} is plain HTTP; that is for this machine only, others are asked by https://")
    return url


def _origin(url: str) -> str:
    if urlsplit(_https(url)).path not in ("", "/"):
        raise ValueError(f"{url!r} has a path; give scheme, host and port only")
    return url.rstrip("/").lower()


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


def read_replicas(value: object) -> object:
    """A bare number is the least and the most at once."""
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(number, dict):
        return number
    if isinstance(number, int) and not isinstance(number, bool):
        if not 0 <= number <= MOST_REPLICAS:
            raise ValueError(f"{number} is out of range: a model has from 0 to {MOST_REPLICAS} replicas")
        return {"min": number, "max": number}
    raise ValueError(f"{value!r} is not a number of replicas; write 2, or {{min: 1, max: 3}}")


def _listed(value: object) -> object:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) for one in values):
        raise ValueError(f"{value!r} is not the value of a label; write text in quotes, or a list of such")
    return values


def _by_kind(value: object) -> object:
    """`vllm: {NAME: …}` among the options becomes `vllm.NAME`: of that engine kind only."""
    if not isinstance(value, dict):
        return value
    kinds = [key for key, item in value.items() if key in get_args(EngineKind) and isinstance(item, dict)]
    flat = {key: item for key, item in value.items() if key not in kinds}
    return flat | {f"{kind}.{name}": item for kind in kinds for name, item in value[kind].items()}


MOST_REPLICAS = 64

Bytes = Annotated[int, BeforeValidator(parse_bytes), _text(BYTES_PATTERN, "72GiB", "512MiB")]
Duration = Annotated[float, BeforeValidator(parse_duration_s), _text(DURATION_PATTERN, "10m", "90s")]
Tokens = Annotated[
    int,
    BeforeValidator(parse_tokens),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": TOKENS_PATTERN}]}),
]
LoopbackHost = Annotated[str, AfterValidator(loopback)]
Address = Annotated[str, AfterValidator(_address)]
NodeName = Annotated[str, Field(pattern=NODE_NAME_PATTERN)]
ConfiguredName = Annotated[str, Field(pattern=MODEL_NAME_PATTERN)]
Alias = Annotated[str, Field(pattern=ALIAS_PATTERN)]
PublicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]  # of a key, a group, a tenant
IssuersTenant = Annotated[PublicName, AfterValidator(_issuers_tenant)]
Source = Annotated[str, AfterValidator(_source), _text(SOURCE_PATTERN, "packaged:smollm2", "hf:Qwen/Qwen3-14B-AWQ")]
LabelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]{0,62}$")]
LabelValues = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
_SCALAR: dict[str, JsonValue] = {"type": ["string", "integer", "number", "boolean"]}
_OPTION_NAME = r"[a-z0-9][a-z0-9_-]{0,62}$"
_OPTIONS: dict[str, JsonValue] = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_OPTION_NAME}"},
    "additionalProperties": _SCALAR,
}
OptionText = Annotated[str, BeforeValidator(_option), WithJsonSchema(_SCALAR)]
Options = Annotated[
    dict[Annotated[str, Field(pattern=rf"^(({'|'.join(get_args(EngineKind))})\.)?{_OPTION_NAME}")], OptionText],
    BeforeValidator(_by_kind),
    WithJsonSchema({**_OPTIONS, "properties": dict.fromkeys(get_args(EngineKind), _OPTIONS)}),
]
Url = Annotated[str, AfterValidator(_https), WithJsonSchema({"type": "string", "pattern": _URL})]
Origin = Annotated[str, AfterValidator(_origin), WithJsonSchema({"type": "string", "pattern": _URL})]
