"""Build the models of the bench below a cache directory: each in the format of every engine kind, all offline.

An artifact is built aside and renamed into place, so that one that exists is complete. Its name carries a digest of
all that it is made from: a change of a shape or of a script builds it afresh, and drops what it replaces.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.fit.variants import SMOLLM2, VARIANTS, Variant
from inventory.offline import OFFLINE
from inventory.packaged import locate
from inventory.packaged_models import PACKAGED_MODELS
from nodes.convert import GGUF_SCRIPT
from nodes.engine_envs import installed
from nodes.snapshot import EngineKind

HF_SCRIPT = str(Path(__file__).with_name("make_hf.py"))
MLX_SCRIPT = str(Path(__file__).with_name("make_mlx.py"))
WRITE_GGUF_SCRIPT = str(Path(__file__).with_name("write_gguf.py"))
TOOLS: tuple[EngineKind, ...] = ("vllm", "mlx")  # environments with numpy and gguf
Target = Literal["folder", "new", "file"]  # what a script wants to be given: an empty folder, or a name in a place
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class ModelBuildError(Exception):
    """A model could not be built. The bench's entry prints it and exits 1."""

    def __init__(self, artifact: str, reason: str) -> None:
        super().__init__(f"{artifact} was not built: {reason}")
        self.artifact, self.reason = artifact, reason


@dataclass(frozen=True, slots=True)
class BenchModel:
    """One model and where it lies for each engine kind that it was made for: a folder, or the GGUF file itself."""

    name: str
    family: str
    folders: Mapping[EngineKind, Path]
    calibrates: bool = False


def ensure_models(cache: Path, engines: Path, only: Collection[str] = ()) -> tuple[BenchModel, ...]:
    """All models, or those named, after building what is missing; each that is built is a line on stderr.

    `engines` holds the engine environments, whose tools do the work. Raises ModelBuildError, OSError.
    """
    unknown = set(only) - {variant.name for variant in VARIANTS}
    if unknown:
        raise ModelBuildError(", ".join(sorted(unknown)), f"the models are {', '.join(v.name for v in VARIANTS)}")
    cache.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(cache, engines)
    return tuple(workshop.model(variant) for variant in VARIANTS if not only or variant.name in only)


class Workshop:
    """One cache directory and the tools that fill it."""

    def __init__(self, cache: Path, engines: Path) -> None:
        pythons = {environment.kind: environment.python for environment in installed(engines)}
        tools = next((pythons[kind] for kind in TOOLS if kind in pythons), None)
        if tools is None:
            raise ModelBuildError("no model", f"it needs the tools of {' or '.join(TOOLS)}: potluck engines install")
        self._cache, self._tools, self._mlx = cache, tools, pythons.get("mlx")

    def model(self, variant: Variant) -> BenchModel:
        weights = self._weights(variant)
        folders: dict[EngineKind, Path] = {"llamacpp": self._gguf(variant, weights)}
        if variant.config is not None or variant.name == SMOLLM2:  # else another variant has this folder
            folders["vllm"] = weights
        if self._mlx is not None:
            options = [] if variant.mlx_bits is None else ["--bits", str(variant.mlx_bits)]
            folders["mlx"] = self._made(f"{variant.name}-mlx", [self._mlx, MLX_SCRIPT, *options], weights, "new")
        return BenchModel(variant.name, variant.family, folders, variant.calibrates)

    def _weights(self, variant: Variant) -> Path:
        """The folder of safetensors that the other formats are made from."""
        if variant.config is None:
            return self._made(f"{SMOLLM2}-vllm", [self._tools, GGUF_SCRIPT], _packaged(), "folder")
        command = [self._tools, HF_SCRIPT, "--config", json.dumps(dict(variant.config))]
        tokenizer = self._made(f"{SMOLLM2}-vllm", [self._tools, GGUF_SCRIPT], _packaged(), "folder")
        return self._made(f"{variant.name}-vllm", command, tokenizer, "folder")

    def _gguf(self, variant: Variant, weights: Path) -> Path:
        if variant.gguf is None:
            return _packaged()
        command = [self._tools, WRITE_GGUF_SCRIPT, "--type", variant.gguf]
        return self._made(f"{variant.name}-llamacpp", command, weights, "file")

    def _made(self, name: str, command: Sequence[str], source: Path, target: Target) -> Path:
        """The artifact `name` as this script makes it of that source: built where it is missing."""
        python, script, *options = command
        digest = hashlib.sha256(Path(script).read_bytes() + json.dumps([source.name, *options]).encode())
        place = self._cache / f"{name}-{digest.hexdigest()[:10]}{'.gguf' if target == 'file' else ''}"
        if place.exists():
            return place
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=".making-") as aside:
            unfinished = Path(aside) / place.name
            if target == "folder":
                unfinished.mkdir()
            argv = [python, "-I", "-u", script, "--source", str(source), "--target", str(unfinished), *options]
            _run(name, argv, Path(aside))
            for former in self._cache.glob(f"{name}-??????????{place.suffix}"):
                shutil.rmtree(former) if former.is_dir() else former.unlink()
            unfinished.rename(place)
        print(f"built {place.name}", file=sys.stderr, flush=True)
        return place


def _packaged() -> Path:
    paths = locate(PACKAGED_MODELS[SMOLLM2])
    if paths is None:
        raise ModelBuildError(SMOLLM2, "its package is not installed; run: make setup")
    return paths[0]


def _run(name: str, argv: Sequence[str], aside: Path) -> None:
    environment = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    environment |= {**dict(OFFLINE), "HF_HOME": str(aside / "huggingface")}
    done = subprocess.run(
        argv, env=environment, cwd=aside, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ModelBuildError(name, last[0])
