"""A space written anew without what was removed, for stores whose files keep what is deleted until they tidy them.

What stays is copied to a space beside it, the old one is dropped with its files, and all is copied back. One that broke
off is finished by the next.
"""

from dataclasses import replace

from rag.stores.contract import OutOfOrderError, UnknownSpaceError, VectorStore
from rag.values import Space, SpaceId, document_id_of

BESIDE = "rebuilt_"


async def rebuild(store: VectorStore, space_id: SpaceId) -> None:
    """Raises StoreError. Who changes the space meanwhile loses what he wrote."""
    there = {one.space_id: one for one in await store.spaces(space_id.tenant)}
    aside = SpaceId(space_id.tenant, f"{BESIDE}{space_id.name}")
    space, before = there.get(space_id), there.get(aside)
    if before is not None and space is not None and not await store.documents(space_id):
        await _copy(store, before, replace(space, space_id=space_id))  # one that broke off after the drop
    elif before is not None and space is None:
        await _copy(store, before, replace(before, space_id=space_id))
    if before is not None:
        await store.drop_space(aside)
    if space is None and before is None:
        raise UnknownSpaceError(space_id)
    if space is None or (before is not None and not await store.documents(space_id)):
        return
    await _copy(store, space, replace(space, space_id=aside))
    await store.drop_space(space_id)
    await _copy(store, replace(space, space_id=aside), space)
    await store.drop_space(aside)


async def _copy(store: VectorStore, source: Space, target: Space) -> None:
    await store.make_space(target)
    for newest in await store.documents(source.space_id):
        for version in await store.versions(source.space_id, newest.document_id):
            whole = await store.whole(version)
            document_id = document_id_of(target.space_id, version.document.name)
            moved = replace(version, space_id=target.space_id, document_id=document_id)
            try:
                await store.restore(replace(whole, version=moved))
            except OutOfOrderError:  # it was put there since, from its file
                break
