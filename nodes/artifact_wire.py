"""What a node hands to another that copies an artifact: paths, and the manifest that binds every byte."""

from dataclasses import dataclass

from inventory.catalog import ArtifactFile, ArtifactFormat, ArtifactId

ARTIFACTS = "/artifacts"


@dataclass(frozen=True, slots=True)
class ArtifactManifest:
    """Format and files make the artifact's id, so they cannot be lied about; origin is what the holder was told."""

    format: ArtifactFormat
    files: tuple[ArtifactFile, ...]
    source: str
    revision: str


def manifest_path(artifact_id: ArtifactId) -> str:
    return f"{ARTIFACTS}/{artifact_id}/manifest"


def file_path(artifact_id: ArtifactId, number: int) -> str:
    """By its place in the manifest: no name of a file ever comes from a client."""
    return f"{ARTIFACTS}/{artifact_id}/files/{number}"
