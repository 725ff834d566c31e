"""What every store of documents does, and what it says when it cannot."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cluster.knowledge import Attribute
from rag.filters import Filter
from rag.fusion import ALPHA
from rag.values import Chunk, Hit, NewChunk, NewDocument, Space, SpaceId, Vectors, Version

MOST_HITS = 200


class StoreError(Exception):
    """The store cannot do it: what failed, and what to do. Handled by the routes and the command."""


class UnknownSpaceError(StoreError):
    def __init__(self, space_id: SpaceId) -> None:
        super().__init__(f"there is no space {space_id}; `potluck rag spaces` lists those there are")
        self.space_id = space_id


class UnknownDocumentError(StoreError):
    def __init__(self, space_id: SpaceId, document_id: str) -> None:
        super().__init__(f"space {space_id} has no document {document_id}; `potluck rag ls` lists those there are")
        self.space_id, self.document_id = space_id, document_id


class OtherEncoderError(StoreError):
    """Vectors of two encoders do not compare."""

    def __init__(self, space: Space, encoder: str, dimensions: int) -> None:
        super().__init__(
            f"space {space.space_id} has vectors of {space.encoder} ({space.dimensions} numbers each), not of "
            f"{encoder} ({dimensions}); embed it anew, or make another space"
        )
        self.space = space


@dataclass(frozen=True, slots=True)
class Question:
    """`vector` is of length 1; None asks by words only. `at_s` (wall time) asks what held then; None what holds now."""

    text: str
    vector: npt.NDArray[np.float32] | None
    limit: int
    alpha: float = ALPHA
    filter: Filter | None = None
    at_s: float | None = None


class OutOfOrderError(StoreError):
    """A version was to be restored that does not follow those that are there."""

    def __init__(self, version: Version, newest: int) -> None:
        super().__init__(
            f"{version.space_id} has {version.document.name} already, up to version {newest}: version "
            f"{version.number} of another history does not follow it; drop the space there, and move it again"
        )
        self.version = version


@dataclass(frozen=True, slots=True)
class WholeVersion:
    """A version with everything that is kept of it. `vectors` has a row for each chunk. `follows`: the number of the
    version before it, those between having been forgotten; 0 where it is the first that is kept."""

    version: Version
    chunks: tuple[NewChunk, ...]
    vectors: Vectors
    follows: int | None = None  # None: one less than its own

    @property
    def after(self) -> int:
        return self.version.number - 1 if self.follows is None else self.follows


class VectorStore(Protocol):
    """Every method may raise StoreError. Space, document and version are always named together: none is found by
    anybody who does not name its tenant."""

    async def make_space(self, space: Space) -> Space:
        """The one that is there already, if there is one. Raises OtherEncoderError."""
        ...

    async def spaces(self, tenant: str) -> tuple[Space, ...]: ...

    async def drop_space(self, space_id: SpaceId) -> bool:
        """With all that is in it. False where there is none."""
        ...

    async def put(
        self, space_id: SpaceId, document: NewDocument, chunks: Sequence[NewChunk], vectors: Vectors
    ) -> Version:
        """Make this the document's newest version, whole or not at all; the one before it ends with it. The same
        content again is no new version: the one there is comes back."""
        ...

    async def describe(self, space_id: SpaceId, document_id: str, attributes: Mapping[str, Attribute]) -> bool:
        """Other attributes for its newest version, by which filters know it; what held before stays. False where there
        is no such document."""
        ...

    async def remove(self, space_id: SpaceId, document_id: str) -> bool:
        """With all its versions. False where there is none."""
        ...

    async def forget_versions(self, space_id: SpaceId, document_id: str, numbers: Collection[int]) -> int:
        """Those of them that ended: how many went. What holds stays, and numbers are not given again. 0 where there is
        no such document."""
        ...

    async def documents(self, space_id: SpaceId) -> tuple[Version, ...]:
        """The newest version of each, by name."""
        ...

    async def versions(self, space_id: SpaceId, document_id: str) -> tuple[Version, ...]:
        """Of one document, the oldest first. Raises UnknownDocumentError."""
        ...

    async def chunks(self, version: Version, first: int, last: int) -> tuple[Chunk, ...]:
        """Those of the version with ordinals from `first` to `last`, both included, as far as there are any."""
        ...

    async def search(self, space_ids: Sequence[SpaceId], question: Question) -> tuple[Hit, ...]:
        """The best first, of all these spaces of one encoder together."""
        ...

    async def whole(self, version: Version) -> WholeVersion:
        """To be restored in another store. Raises UnknownDocumentError where it was removed."""
        ...

    async def restore(self, whole: WholeVersion) -> Version:
        """Write a version with the number and the times that it had, whole or not at all. One that is there already
        comes back. Raises OutOfOrderError: the versions of a document are restored from the first on."""
        ...

    async def scrub(self, space_id: SpaceId) -> None:
        """What was removed of this space is in no byte of it any more, whatever the store keeps of it beside. Raises
        UnknownSpaceError."""
        ...

    async def clean(self) -> None:
        """The same of what is not of one space: after all of them were scrubbed."""
        ...

    async def close(self) -> None: ...
