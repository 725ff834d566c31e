"""Which files make a model, given a path that a person named: a file, one part of a split model, or a directory."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from inventory.folder_file import choose_folder_files
from inventory.folder_files import CONFIG, PICKLES, is_pooling_directory, is_wanted
from inventory.gguf_file import read_header
from inventory.gguf_spec import is_projector
from inventory.incoming import Incoming
from inventory.split_names import part_names

MAX_LISTED = 10_000


class UnusableModelError(Exception):
    """A path that holds no model potluck can take in. Handled by the command that was given it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def find_model_files(path: Path) -> tuple[Incoming, ...]:
    """Weights first and in order. Raises UnusableModelError, ModelFileError, OSError. Reads headers only.

    A directory with a config.json and .safetensors files is a model of its own format; a GGUF file beside them can be
    named itself.
    """
    if path.is_dir():
        names = sorted(entry.name for entry in islice(path.iterdir(), MAX_LISTED))
        if CONFIG in names and any(name.endswith(".safetensors") for name in names):
            return _folder(path, names)
        return _in_directory(path, names)
    if not path.exists():
        raise UnusableModelError(str(path), "there is no such file or directory")
    if path.suffix != ".gguf":
        raise UnusableModelError(str(path), f"{_unsupported([path.name])} Name a .gguf file or a model's folder.")
    return _gguf(_all_parts(path))


def _gguf(parts: Sequence[Path], projector: Path | None = None) -> tuple[Incoming, ...]:
    files = [Incoming(path.resolve(strict=True), path.name) for path in parts]
    if projector is not None:
        files.append(Incoming(projector.resolve(strict=True), projector.name, "projector"))
    return tuple(files)


def _all_parts(path: Path) -> tuple[Path, ...]:
    parts = tuple(path.with_name(name) for name in part_names(path.name))
    if missing := [part.name for part in parts if not part.exists()]:
        raise UnusableModelError(str(path), f"it is one part of {len(parts)}; missing beside it: {', '.join(missing)}")
    return parts


def _in_directory(directory: Path, names: Sequence[str]) -> tuple[Incoming, ...]:
    found = [_inside(directory, name) for name in names if name.endswith(".gguf")]
    if not found:
        raise UnusableModelError(str(directory), f"{_unsupported(names)} It holds no .gguf file.")
    projectors = [path for path in found if is_projector(read_header(path))]
    models = {_all_parts(path) for path in found if path not in projectors}
    if len(models) != 1 or len(projectors) > 1:
        listed = ", ".join(path.name for path in found[:8])
        raise UnusableModelError(str(directory), f"it holds more than one model or none; name the file ({listed})")
    return _gguf(models.pop(), projectors[0] if projectors else None)


def _folder(directory: Path, names: Sequence[str]) -> tuple[Incoming, ...]:
    pooling = [f"{name}/{CONFIG}" for name in names if is_pooling_directory(name)]
    wanted = [name for name in (*names, *pooling) if is_wanted(name) and (directory / name).is_file()]
    present = {name: _inside(directory, name).resolve(strict=True) for name in wanted}
    chosen = choose_folder_files(str(directory), present)
    weights = [Incoming(present[name], name) for name in chosen.weights]
    return (*weights, *(Incoming(present[name], name, "settings") for name in chosen.settings))


def _inside(directory: Path, name: str) -> Path:
    path = directory / name
    if not path.resolve().is_relative_to(_cache_of(directory) or directory.resolve()):
        raise UnusableModelError(
            str(path), "it is a link that leads out of this directory; if that is meant, name the file it points to"
        )
    return path


def _cache_of(directory: Path) -> Path | None:
    """Where the folder's links may lead, if it is a snapshot (models--ORG--REPO/snapshots/COMMIT) of a hub's cache."""
    snapshots = directory.resolve().parent
    return snapshots.parent if snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--") else None


def _unsupported(names: Sequence[str]) -> str:
    folder = (CONFIG, ".safetensors", ".safetensors.index.json")
    if any(name.endswith(PICKLES) for name in names) and not any(name.endswith(folder[1:]) for name in names):
        return "This looks like a pickled checkpoint, which can run code when loaded: potluck never opens those."
    if any(name.endswith(folder) for name in names):
        return "This belongs to a safetensors or MLX model, which is a folder with config.json and .safetensors files."
    return "This is no model that potluck knows."
