"""Which files make a model, given a path that a person named: a file, one part of a split model, or a directory."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inventory.gguf_file import read_header
from inventory.gguf_spec import is_projector
from inventory.split_names import part_names

MAX_LISTED = 10_000


class UnusableModelError(Exception):
    """A path that holds no model potluck can take in. Handled by the command that was given it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of one model: its parts in order, and the vision projector that lies beside it, if any."""

    weights: tuple[Path, ...]
    projector: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        return self.weights if self.projector is None else (*self.weights, self.projector)


def find_model_files(path: Path) -> ModelFiles:
    """Raises UnusableModelError, GgufError, OSError. Reads headers only."""
    if path.is_dir():
        return _in_directory(path)
    if not path.exists():
        raise UnusableModelError(str(path), "there is no such file or directory")
    if path.suffix != ".gguf":
        raise UnusableModelError(str(path), f"{_unsupported([path.name])} Name a .gguf file.")
    return ModelFiles(_all_parts(path))


def _all_parts(path: Path) -> tuple[Path, ...]:
    parts = tuple(path.with_name(name) for name in part_names(path.name))
    if missing := [part.name for part in parts if not part.exists()]:
        raise UnusableModelError(str(path), f"it is one part of {len(parts)}; missing beside it: {', '.join(missing)}")
    return parts


def _in_directory(directory: Path) -> ModelFiles:
    entries = sorted(entry.name for entry in islice(directory.iterdir(), MAX_LISTED))
    found = [_inside(directory, name) for name in entries if name.endswith(".gguf")]
    if not found:
        raise UnusableModelError(str(directory), f"{_unsupported(entries)} It holds no .gguf file.")
    projectors = [path for path in found if is_projector(read_header(path))]
    models = {_all_parts(path) for path in found if path not in projectors}
    if len(models) != 1 or len(projectors) > 1:
        names = ", ".join(path.name for path in found[:8])
        raise UnusableModelError(str(directory), f"it holds more than one model or none; name the file ({names})")
    return ModelFiles(models.pop(), projectors[0] if projectors else None)


def _inside(directory: Path, name: str) -> Path:
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise UnusableModelError(
            str(path), "it is a link that leads out of this directory; if that is meant, name the file it points to"
        )
    return path


def _unsupported(names: Sequence[str]) -> str:
    if any(name.endswith((".safetensors", ".safetensors.index.json")) for name in names):
        return "This looks like a safetensors or MLX model: those come with the vLLM and MLX engines."
    if any(name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")) for name in names):
        return "This looks like a pickled checkpoint, which can run code when loaded: potluck never opens those."
    return "This is not a GGUF model."
