"""Which files of a hub repository make the model that was asked for: a listing in, the files or the choices out.

A repository of GGUF files offers models to choose from; any other that has a config.json is itself one model.
"""

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inventory.folder_files import CONFIG, PICKLES, is_wanted
from inventory.sources import FOLDER_WORD, HubSource
from inventory.split_names import part_names

GIB = 1 << 30


class HubChoiceError(Exception):
    """The repository does not hold exactly one model that was meant. Handled by the command; it lists the choices."""

    def __init__(self, source: HubSource, reason: str, choices: Sequence[str]) -> None:
        listed = "".join(f"\n  {choice}" for choice in choices)
        super().__init__(f"{source}: {reason}{listed}")
        self.source, self.choices = source, tuple(choices)


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository. The hub knows the sha256 of large files only."""

    path: str
    size_bytes: int
    sha256: str | None


def is_folder(source: HubSource, listing: Iterable[HubFile]) -> bool:
    """Whether the repository as a whole is the model: it was asked for so, or it holds no GGUF file."""
    names = {file.path for file in listing}
    whole = CONFIG in names and any(name.endswith(".safetensors") for name in names)
    if source.file is not None or not whole:
        return False
    return source.quantisation == FOLDER_WORD or not any(name.endswith(".gguf") for name in names)


def folder_settings(listing: Iterable[HubFile]) -> tuple[HubFile, ...]:
    """All files but the weights, of those that may enter the store."""
    return tuple(file for file in listing if is_wanted(file.path) and not file.path.endswith(".safetensors"))


def choose_files(source: HubSource, listing: Iterable[HubFile]) -> tuple[HubFile, ...]:
    """The parts of one GGUF model, in order. Raises HubChoiceError."""
    listed = {file.path: file for file in listing}
    files = {path: file for path, file in listed.items() if path.endswith(".gguf")}
    if not files and (pickled := sorted(path for path in listed if path.endswith(PICKLES))):
        raise HubChoiceError(source, f"its weights are pickled ({pickled[0]}); potluck never opens those", ())
    models = {
        paths: tuple(files[path] for path in paths)
        for paths in (_parts(path) for path in files if "mmproj" not in path.lower())
        if all(path in files for path in paths)
    }
    if source.file is not None:
        fit = [paths for paths in models if source.file in paths]
        problem = f"it holds no complete model {source.file}"
    elif source.quantisation is not None:
        fit = [paths for paths in models if _is_quantised(paths[0], source.quantisation)]
        problem = f"it holds {len(fit) or 'no'} models of quantisation {source.quantisation}; name the file"
    else:
        fit = list(models)
        problem = f"it holds {len(fit) or 'no'} GGUF models; name the file"
    if len(fit) != 1:
        raise HubChoiceError(source, problem, [_choice(source, models[paths]) for paths in sorted(fit or models)][:40])
    return models[fit[0]]


def _parts(path: str) -> tuple[str, ...]:
    directory, name = posixpath.split(path)
    return tuple(posixpath.join(directory, part) for part in part_names(name))


def _is_quantised(path: str, quantisation: str) -> bool:
    # Q4_K must not match Q4_K_M: the word ends where no letter, digit or underscore follows.
    return re.search(rf"(?<![a-z0-9]){re.escape(quantisation.lower())}(?![a-z0-9_])", path.lower()) is not None


def _choice(source: HubSource, files: tuple[HubFile, ...]) -> str:
    revision = f"@{source.revision}" if source.revision else ""
    size = sum(file.size_bytes for file in files) / GIB
    return f"hf:{source.repository}{revision}/{files[0].path}  ({size:.1f} GiB)"
