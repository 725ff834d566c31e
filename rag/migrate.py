"""A space from one store to another: every version of every document, in order, as it was; then both are compared.

It goes on where it stopped: what is there already is not written again. Nothing is taken away at the source until the
other store was seen to have it all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rag.stores.contract import Question, StoreError, UnknownSpaceError, VectorStore, WholeVersion
from rag.values import Space, SpaceId, Version

SAMPLE = 20  # versions that are read back and asked for
HALF = 2e-3  # by which a number may differ that one of the stores keeps to half precision
NEAREST = 5

Advance = Callable[[int, int], None]
"""Called as work goes on, with versions done and versions in all."""


class NotTheSameError(StoreError):
    """The copy is not what was copied. Nothing was dropped."""

    def __init__(self, space_id: SpaceId, difference: str) -> None:
        super().__init__(
            f"{space_id} was copied, but {difference}; it is still whole where it was. Has anybody written to it "
            "meanwhile? Move it again, or drop the copy"
        )
        self.space_id = space_id


@dataclass(frozen=True, slots=True)
class Moved:
    """`written` of the versions were not there yet. `asked` of them were read back and searched for."""

    space: Space
    documents: int
    versions: int
    chunks: int
    written: int
    asked: int
    dropped: bool


async def move_space(
    source: VectorStore, target: VectorStore, space_id: SpaceId, drop: bool, advance: Advance = lambda done, all: None
) -> Moved:
    """Raises StoreError."""
    space = await space_in(source, space_id)
    await target.make_space(space)
    versions = await _versions(source, space_id)
    known = {(one.document_id, one.number): one for one in await _versions(target, space_id)}
    written = 0
    for done, version in enumerate(versions):
        advance(done, len(versions))
        if known.get((version.document_id, version.number)) != version:
            await target.restore(await source.whole(version))
            written += 1
    advance(len(versions), len(versions))
    await _compare(source, target, space_id)
    sample = _spread(versions, SAMPLE)
    for version in sample:
        await _compare_version(source, target, version)
    dropped = await source.drop_space(space_id) if drop else False
    documents = len({one.document_id for one in versions})
    chunks = sum(one.chunks for one in versions)
    return Moved(space, documents, len(versions), chunks, written, len(sample), dropped)


async def space_in(store: VectorStore, space_id: SpaceId) -> Space:
    """Raises UnknownSpaceError."""
    for space in await store.spaces(space_id.tenant):
        if space.space_id == space_id:
            return space
    raise UnknownSpaceError(space_id)


async def _versions(store: VectorStore, space_id: SpaceId) -> tuple[Version, ...]:
    """Of every document, the oldest first."""
    found: list[Version] = []
    for newest in await store.documents(space_id):
        found += await store.versions(space_id, newest.document_id)
    return tuple(found)


async def _compare(source: VectorStore, target: VectorStore, space_id: SpaceId) -> None:
    """Both as they are now: somebody may have written to the source while it was read."""
    ours, theirs = set(map(_key, await _versions(source, space_id))), set(map(_key, await _versions(target, space_id)))
    if ours != theirs:
        raise NotTheSameError(
            space_id, f"{len(ours - theirs)} versions are not there, and {len(theirs - ours)} are there only"
        )


def _key(version: Version) -> tuple[object, ...]:
    document = version.document
    return (
        version.document_id, version.number, version.made_s, version.ended_s, version.chunks, document.name,
        document.content_hash, document.data_class, tuple(sorted(document.attributes.items())),
    )  # fmt: skip


async def _compare_version(source: VectorStore, target: VectorStore, version: Version) -> None:
    """Its chunks and vectors are the same, and a question with one of its vectors finds it as near in both."""
    ours, theirs = await source.whole(version), await target.whole(version)
    if ours.chunks != theirs.chunks:
        raise NotTheSameError(version.space_id, f"{version.document.name} has other texts there")
    if not np.allclose(ours.vectors, theirs.vectors, atol=HALF):
        raise NotTheSameError(version.space_id, f"{version.document.name} has other vectors there")
    if ours.chunks and version.ended_s is None:
        nearest = [await _nearest(store, ours) for store in (source, target)]
        if abs(nearest[0] - nearest[1]) > HALF:
            raise NotTheSameError(
                version.space_id,
                f"a question finds {version.document.name} at a cosine of {nearest[0]:.3f} here and of "
                f"{nearest[1]:.3f} there",
            )


async def _nearest(store: VectorStore, whole: WholeVersion) -> float:
    """The cosine of what is nearest to its first chunk; 0 where nothing is found."""
    vector = whole.vectors[0] / np.linalg.norm(whole.vectors[0])
    asked = Question(whole.chunks[0].text, np.asarray(vector, dtype=np.float32), NEAREST, alpha=1.0)
    hits = await store.search([whole.version.space_id], asked)
    return max((hit.cosine for hit in hits if hit.cosine is not None), default=0.0)


def _spread(versions: Sequence[Version], count: int) -> tuple[Version, ...]:
    """So many of them, from the first to the last."""
    if len(versions) <= count:
        return tuple(versions)
    return tuple(versions[round(at * (len(versions) - 1) / (count - 1))] for at in range(count))
