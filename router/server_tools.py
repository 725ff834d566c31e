"""What the gateway can do for a model by itself. The composition root brings who does it: `rag` keeps the documents."""

from collections.abc import Sequence
from typing import Protocol

from cluster.knowledge import (
    Ask,
    Attribute,
    Counts,
    Difference,
    FileVersion,
    Folder,
    Found,
    NewFile,
    NewStore,
    Reader,
    Store,
    StoreChange,
    StoreFile,
)


class Knowledge(Protocol):
    """People's documents. Every method may raise KnowledgeError: what a reader may not read is not there for him, and
    what he may read and not change is forbidden in words. Who may what: cluster.grants."""

    async def create_store(self, reader: Reader, wanted: NewStore) -> Store: ...

    async def stores(self, reader: Reader) -> tuple[Store, ...]:
        """The youngest first."""
        ...

    async def store(self, reader: Reader, store_id: str) -> Store: ...

    async def change_store(self, reader: Reader, store_id: str, change: StoreChange) -> Store: ...

    async def drop_store(self, reader: Reader, store_id: str) -> None:
        """With everything that was read into it. The uploaded files themselves stay."""
        ...

    async def add_files(
        self, reader: Reader, store_id: str, files: Sequence[NewFile], batch_id: str | None = None
    ) -> tuple[StoreFile, ...]:
        """Remember them, durably; they are read afterwards. One that is there already is read again."""
        ...

    async def files(self, reader: Reader, store_id: str) -> tuple[StoreFile, ...]:
        """The youngest first."""
        ...

    async def file(self, reader: Reader, store_id: str, file_id: str) -> StoreFile: ...

    async def read_again(self, reader: Reader, store_id: str, file_id: str) -> StoreFile:
        """As if nobody had tried yet, from where its bytes lie. What was read of it stays found meanwhile."""
        ...

    async def change_file(
        self, reader: Reader, store_id: str, file_id: str, attributes: dict[str, Attribute]
    ) -> StoreFile: ...

    async def drop_file(self, reader: Reader, store_id: str, file_id: str) -> None:
        """Nothing of it is found from now on, in no version."""
        ...

    async def forget_file(self, reader: Reader, file_id: str) -> None:
        """The uploaded file is going away: out of every store of the reader's tenant."""
        ...

    async def texts(self, reader: Reader, store_id: str, file_id: str, version: int | None = None) -> tuple[str, ...]:
        """What was read of it, chunk by chunk; None: of its newest version."""
        ...

    async def versions(self, reader: Reader, store_id: str, file_id: str) -> tuple[FileVersion, ...]:
        """The oldest first."""
        ...

    async def difference(
        self, reader: Reader, store_id: str, file_id: str, old: int | None, new: int | None
    ) -> Difference:
        """None as `old`: the one before the other; as `new`: the newest."""
        ...

    async def batch(self, reader: Reader, store_id: str, batch_id: str) -> Counts: ...

    async def cancel_batch(self, reader: Reader, store_id: str, batch_id: str) -> Counts:
        """Files of it that are not read yet never will be."""
        ...

    async def search(self, reader: Reader, ask: Ask) -> Found: ...

    def usual_stores(self, reader: Reader, model: str) -> tuple[str, ...]:
        """Those that every question of this reader to this model looks into, without being told. At once: it is asked
        for every request."""
        ...

    async def set_usual(self, reader: Reader, store_id: str, models: Sequence[str], keys: Sequence[str]) -> Store:
        """Make it a usual store for these models (every key) and these keys (every model); none of both: for nobody.
        Whoever's questions it is usual for may read it from now on: everyone (cluster.grants), or these keys."""
        ...

    async def add_folder(self, reader: Reader, store_id: str, path: str, watched: bool) -> Folder:
        """Read a folder of this machine, and what is in it; its files' names are their paths below it."""
        ...

    async def folders(self, reader: Reader) -> tuple[Folder, ...]: ...

    async def drop_folder(self, reader: Reader, folder_id: str) -> None:
        """It is watched no more. What was read of it stays."""
        ...
