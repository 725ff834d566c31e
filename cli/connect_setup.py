"""What connecting a client comes to: entries of its files, variables of its environment, and what to tell its user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Form = Literal["json", "toml", "yaml", "env"]
Tree = Mapping[str, object] | Sequence[object]

PLACEHOLDER = "YOUR-POTLUCK-KEY"


@dataclass(frozen=True, slots=True)
class ServedModel:
    name: str
    context_tokens: int | None


@dataclass(frozen=True, slots=True)
class Target:
    """What a client is to be connected with. `base_url` ends in /v1; `ca` is a file, where the endpoint needs one."""

    base_url: str
    key: str
    model: ServedModel
    models: tuple[ServedModel, ...]  # every one that this key may ask for, `model` among them
    ca: str | None = None

    @property
    def root_url(self) -> str:
        return self.base_url.removesuffix("/v1")


@dataclass(frozen=True, slots=True)
class Places:
    """Directories in which clients look for their files; they follow the platform and each client's own variable."""

    codex: str
    claude: str
    opencode_config: str
    opencode_data: str
    vscode: str
    continue_dev: str
    llm: str
    potluck: str  # files for clients that have none


@dataclass(frozen=True, slots=True)
class Entries:
    """What one file of a client must say; whatever else it says stays. `secret`: the key is among it."""

    path: str
    form: Form
    tree: Tree
    secret: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """`environment` is what only the shell that starts the client can set."""

    files: tuple[Entries, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    snippet: str = ""
    notes: tuple[str, ...] = ()


def extra_ca(target: Target) -> tuple[tuple[str, str], ...]:
    """For programs on Node: one more authority beside those they trust."""
    return (("NODE_EXTRA_CA_CERTS", target.ca),) if target.ca else ()


def only_ca(target: Target) -> tuple[tuple[str, str], ...]:
    """For programs in Python: the authorities they trust, this and no other."""
    return (("SSL_CERT_FILE", target.ca), ("REQUESTS_CA_BUNDLE", target.ca)) if target.ca else ()


def too_small(target: Target, needed_tokens: int, client: str) -> tuple[str, ...]:
    """A warning where the client's own instructions leave no room in the model's context."""
    context = target.model.context_tokens
    if context is None or context >= needed_tokens:
        return ()
    return (
        f"{target.model.name} has a context of {context:,} tokens, and {client}'s own instructions and tools take "
        f"about {needed_tokens:,}: choose a model with more, or raise `context` in cluster.yaml",
    )
