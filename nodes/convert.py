"""Make another artifact of a model that is in the store: GGUF to safetensors, and either of them to MLX.

The work is done by scripts in engine environments, as child processes: this process loads neither torch nor numpy.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from inventory.catalog import ArtifactFormat, StoredModel
from inventory.disk_space import require_room
from inventory.model_files import find_model_files
from inventory.offline import OFFLINE
from inventory.progress import Progress, silent
from inventory.store import ModelStore, Origin
from inventory.store_records import checked_name
from nodes.engine_envs import installed
from nodes.snapshot import EngineKind

GGUF_SCRIPT = str(Path(__file__).with_name("convert_gguf.py"))
MLX_SCRIPT = str(Path(__file__).with_name("convert_mlx.py"))
RECORD = "conversion.json"

Target = Literal["safetensors", "mlx"]
Bits = Literal[4, 8]
_ENVIRONMENTS: dict[Target, tuple[EngineKind, ...]] = {"safetensors": ("vllm", "mlx"), "mlx": ("mlx",)}
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class ConversionError(Exception):
    """The model was not converted, and the store is as it was. The command prints it and exits 1."""

    def __init__(self, name: str, target: Target, reason: str) -> None:
        super().__init__(f"{name} was not converted to {target}: {reason}")
        self.name, self.target, self.reason = name, target, reason


@dataclass(frozen=True, slots=True)
class Conversion:
    """What to make of which model. `bits` of None keeps bfloat16."""

    name: str
    target: Target
    bits: Bits | None = None


@dataclass(frozen=True, slots=True)
class _Record:
    """What the new artifact says about its origin, beside its weights."""

    source_artifact: str
    source_format: ArtifactFormat
    bits: int | None
    engine: str


def convert(store: ModelStore, engines_dir: Path, conversion: Conversion, progress: Progress = silent) -> StoredModel:
    """The new artifact, under the same name. Raises ConversionError, ModelNotFoundError, DiskFullError."""
    name, target = checked_name(conversion.name), conversion.target
    if target == "safetensors" and conversion.bits is not None:
        raise ConversionError(name, target, "only MLX artifacts are quantised; leave out --quantise, or use --to mlx")
    source = _source(store, name, target)
    present = store.find(name, target)
    if present is not None:
        other = f"it has such an artifact ({present.artifact.artifact_id[:12]}); first run: "
        raise ConversionError(name, target, f"{other}potluck models rm {name} --format {target}")
    python, engine = _environment(engines_dir, name, target)
    bfloat16 = 2 * source.artifact.spec.parameters
    is_chain = target == "mlx" and source.artifact.format == "gguf"
    require_room(store.root, bfloat16 * (2 if is_chain else 1), store.free_bytes())
    store.downloads.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.downloads, prefix="convert-") as directory:
        folder = store.main_path(source.artifact.artifact_id)
        if source.artifact.format == "gguf":
            folder = _step(conversion, [python, GGUF_SCRIPT], folder, _empty(Path(directory) / "safetensors"), progress)
        if target == "mlx":
            options = [] if conversion.bits is None else ["--bits", str(conversion.bits)]
            folder = _step(conversion, [python, MLX_SCRIPT, *options], folder, Path(directory) / "mlx", progress)
        record = _Record(source.artifact.artifact_id, source.artifact.format, conversion.bits, engine)
        (folder / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
        files = [replace(file, disposable=True) for file in find_model_files(folder)]
        origin = Origin(f"converted:{source.artifact.format}:{source.artifact.artifact_id[:12]}")
        return store.admit(files, origin, name, progress)


def _source(store: ModelStore, name: str, target: Target) -> StoredModel:
    """MLX is made from safetensors where the store has them: they are what the model's makers published."""
    ready = store.find(name, "safetensors") if target == "mlx" else None
    return ready or store.get(name, "gguf")


def _environment(engines_dir: Path, name: str, target: Target) -> tuple[str, str]:
    """The python that can do it, and what to call it in the record."""
    kinds = _ENVIRONMENTS[target]
    found = {environment.kind: environment for environment in installed(engines_dir)}
    for kind in kinds:
        if kind in found:
            return found[kind].python, f"{kind} {found[kind].version}"
    raise ConversionError(
        name, target, f"it needs the tools of {' or '.join(kinds)}; run: potluck engines install {kinds[-1]}"
    )


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _step(conversion: Conversion, command: Sequence[str], source: Path, target: Path, progress: Progress) -> Path:
    """Run one script from `source` to `target`. Ends with this process: it is a child that is waited for."""
    python, script, *options = command
    argv = [python, "-I", "-u", script, "--source", str(source.absolute()), "--target", str(target), *options]
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {**dict(OFFLINE), "HF_HOME": str(target.parent / "huggingface")}
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, cwd=target.parent
        ) as child,
    ):
        try:
            for line in child.stdout or ():
                _tell(line, progress)
        except BaseException:
            child.kill()
            raise
        if child.wait() == 0:
            return target
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines() or [f"status {child.returncode}"]
        raise ConversionError(conversion.name, conversion.target, last[-1][:500])


def _tell(line: bytes, progress: Progress) -> None:
    with contextlib.suppress(ValueError):  # a library that talks on stdout is no reason to fail
        done, total = line.split()
        progress(int(done), int(total))
