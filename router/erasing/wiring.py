"""The parts of a gateway that keep something of people, in the order in which an erasure goes through them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cluster.admin_client import AdminClient
from cluster.erased_logs import LogErasure
from cluster.erasure import Erasable
from cluster.pii_vault import PseudonymVault
from router.batches.runner import BatchRunner
from router.batches.store import BatchStore
from router.cache_store import CacheStore
from router.call_context import CallContext
from router.dashboard.desk import Dashboard
from router.erasing.batches import BatchErasure
from router.erasing.caches import CacheErasure, MemoryErasure
from router.erasing.eraser import Eraser
from router.erasing.head import HeadErasure
from router.erasing.pseudonyms import PseudonymErasure
from router.erasing.records import RecordErasure
from router.telemetry import TelemetryWriter

HEAD_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What there is of a gateway. `pseudonym_key`: of a tenant."""

    context: CallContext
    dashboard: Dashboard
    telemetry: TelemetryWriter | None
    cache: CacheStore | None
    batches: BatchStore | None
    runner: BatchRunner | None
    pseudonym_key: Callable[[str], bytes]


def eraser_of(kept: Kept, documents: Erasable | None, more: tuple[Erasable, ...] = ()) -> Eraser:
    """`documents` None: it keeps none; `more`: whoever else registers. Documents go before uploads, of which they were
    read, and before what stands for values in them; logs last, as all that goes may be told there."""
    context = kept.context
    paths = context.settings.paths
    pseudonyms = PseudonymErasure(PseudonymVault(paths.pseudonyms_db, kept.pseudonym_key, context.clock))
    parts = tuple(_parts(kept, documents, (pseudonyms, *more)))
    return Eraser(paths, context.clock, context.log, parts, pseudonyms.names)


def _parts(kept: Kept, documents: Erasable | None, more: tuple[Erasable, ...]) -> Iterator[Erasable]:
    """Not `paths.sightings`: it says which machine was sent something, of which class, under an id of ours, till it is
    told to the audit."""
    paths = kept.context.settings.paths
    yield HeadErasure(AdminClient(paths.head_socket, HEAD_PATIENCE_S))
    yield MemoryErasure(kept.context, kept.dashboard)
    if documents is not None:
        yield documents
    if kept.batches is not None and kept.runner is not None:
        yield BatchErasure(kept.batches, kept.runner)

    def flush() -> None:
        if kept.telemetry is not None:
            kept.telemetry.flush()

    yield RecordErasure(paths.telemetry_db, kept.context.flush, flush)
    yield from more
    yield CacheErasure(kept.cache)
    yield LogErasure((paths.logs,))
