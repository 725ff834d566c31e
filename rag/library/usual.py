"""Stores that questions look into without being told, known without asking the disk: it is asked for every request."""

from collections.abc import Sequence

from cluster.grants import EVERYONE, may_read
from cluster.knowledge import Reader
from rag.library.catalogue import Catalogue
from rag.library.rows import StoreRow, Usual


class UsualStores:
    """What is changed in library.db is told it by `note` and `forget`."""

    def __init__(self, catalogue: Catalogue, now_s: float) -> None:
        self._catalogue = catalogue
        self._usual = tuple(catalogue.usual())
        wanted = {one.store_id for one in self._usual}
        rows = [row for row in catalogue.stores() if row.store_id in wanted and not row.expired(now_s)]
        self._rows = {row.store_id: row for row in rows}

    def of(self, reader: Reader, model: str) -> tuple[str, ...]:
        """Those that he may read."""
        meant = dict.fromkeys(one.store_id for one in self._usual if one.meant(reader, model))
        return tuple(one for one in meant if one in self._rows and may_read(reader, self._rows[one]))

    def save(self, row: StoreRow, models: Sequence[str], keys: Sequence[str]) -> None:
        """Blocks. In place of what was said of it before."""
        wanted = [Usual(row.store_id, row.tenant, model, None) for model in dict.fromkeys(models)]
        wanted += [Usual(row.store_id, row.tenant, None, key_id) for key_id in dict.fromkeys(keys)]
        self._catalogue.set_usual(row.store_id, wanted)
        self._usual = tuple(self._catalogue.usual())
        self._rows[row.store_id] = row

    def note(self, row: StoreRow) -> None:
        """It has other owners or readers."""
        if row.store_id in self._rows:
            self._rows[row.store_id] = row

    def forget(self, store_id: str) -> None:
        self._rows.pop(store_id, None)


def with_grants(readers: tuple[str, ...], models: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """Who may read a store that is usual for these models and keys: whoever's questions look into it."""
    asked = ([EVERYONE] if models else []) + [f"key:{key_id}" for key_id in keys]
    return tuple(dict.fromkeys([*readers, *asked]))
