"""Where the model store keeps what: paths from names and hashes, nothing that reads or writes a record."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inventory.catalog import ArtifactFile, ArtifactFormat, ArtifactId
from inventory.store_records import name_to_file


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The directories below one root; `store.py` says what lies in them."""

    root: Path

    def prepare(self) -> None:
        for name in ("blobs", "manifests", "artifacts", "names", "incoming"):
            (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self) -> Iterator[Path]:
        """Every name record. Files that start with a dot are being written."""
        return (self.root / "names").glob("[!.]*.json")

    def manifests(self) -> Iterator[Path]:
        return (self.root / "manifests").glob("[!.]*.json")

    def name(self, name: str, format: ArtifactFormat) -> Path:
        return self.root / "names" / name_to_file(name, format)

    def manifest(self, artifact_id: ArtifactId) -> Path:
        return self.root / "manifests" / f"{artifact_id}.json"

    def blob(self, file: ArtifactFile) -> Path:
        return self.root / "blobs" / file.sha256

    def view(self, artifact_id: ArtifactId) -> Path:
        """The directory whose links carry the files' own names."""
        return self.root / "artifacts" / artifact_id

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"
