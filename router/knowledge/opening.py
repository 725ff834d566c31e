"""Documents of a gateway as it starts and runs: opened, read, closed; and where they cannot be opened, why."""

import asyncio
from dataclasses import dataclass
from functools import partial

from cluster.knowledge import KnowledgeError
from cluster.pii.policy import NO_PII
from cluster.privacy import rules_of
from cluster.snapshot import ClusterSnapshot
from cluster.whereabouts import Whereabouts
from inventory.logs import told
from nodes.snapshot import NodeId
from router.batches.desk import BatchDesk
from router.batches.values import DOCUMENTS, FileRow
from router.dispatcher import Dispatcher
from router.errors import ApiError
from router.in_house import InHouse
from router.knowledge.audited import AuditedKnowledge, upload_read
from router.knowledge.desk import DocumentDesk, said
from router.knowledge.metrics import DocumentMetrics
from router.knowledge.recorder import Recorder
from router.knowledge.room import Around, OpenRoom, Room
from router.log import EventLog
from router.readers import Caller

NONE_KEPT = "it was started without"
READ_AGAIN_S = 10.0
COUNT_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Documents:
    """Where they are kept, and the door to it."""

    room: Room
    desk: DocumentDesk
    log: EventLog
    metrics: DocumentMetrics

    async def run(self) -> None:
        """Until cancelled. Whatever goes wrong with them ends nothing else."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._count())
            while True:
                try:
                    await self.room.run()
                except Exception as error:  # noqa: BLE001 - the last resort: told, and tried again
                    self.log.emit("documents_not_read", error=told(error))
                await asyncio.sleep(READ_AGAIN_S)

    async def _count(self) -> None:
        """For who reads /metrics, which asks nobody."""
        while True:
            try:
                self.metrics.files = await self.room.files()
            except Exception:  # noqa: BLE001 - whoever reads files meets the same trouble, and tells it
                self.metrics.files = None
            await asyncio.sleep(COUNT_EVERY_S)

    async def close(self) -> None:
        await self.room.close()


def open_documents(
    dispatcher: Dispatcher, house: InHouse, files: BatchDesk | None, open_room: OpenRoom, recorder: Recorder
) -> Documents | str:
    """What opens, or the reason why nothing does, which is told to everybody who asks."""
    context, view = dispatcher.context, dispatcher.view
    around = Around(
        paths=context.settings.paths,
        client_for=house.client_for,
        encoders=house.encoders,
        where=lambda: whereabouts(view.cluster),
        ray_nodes=lambda: ray_nodes(view.cluster),
        pii=lambda: view.cluster.pii if view.cluster is not None else NO_PII,
        pseudonym_key=lambda tenant: view.keys.pseudonym_key_of(tenant),
        clock=context.clock,
        log=context.log,
        witness=context.witness,
    )
    if files is not None:
        files.before_reading = partial(_reads_upload, recorder)
    try:
        room = open_room(around)
    except KnowledgeError as error:
        context.log.emit("documents_not_kept", error=error.message)
        if files is not None:
            files.runner.before_dropping = partial(_stays, error.message)
        return error.message
    metrics = DocumentMetrics()
    dispatcher.knowledge = AuditedKnowledge(room.knowledge, recorder, metrics, context.clock)
    desk = DocumentDesk(dispatcher.knowledge, files, context.clock, lambda: view.access.keys if view.access else ())
    if files is not None:
        files.runner.before_dropping = desk.let_go
    return Documents(room, desk, context.log, metrics)


async def _stays(why: str, file: FileRow) -> None:
    """What stores have read of a file cannot be taken out of them, so it is not gone. Raises ApiError 503."""
    if file.purpose in DOCUMENTS:
        raise ApiError(503, "documents_off", f"this file may be in vector stores, which cannot be opened: {why}")


async def _reads_upload(recorder: Recorder, who: Caller, file: FileRow) -> None:
    """Raises ApiError 503."""
    if file.purpose in DOCUMENTS:
        with said():
            await recorder.keep((upload_read(who.reader, file.file_id),))


def whereabouts(cluster: ClusterSnapshot | None) -> Whereabouts:
    """Of the machines, as the head has told them."""
    if cluster is None:
        return Whereabouts()
    zones = {node.node_id: node.zone for node in cluster.nodes if node.zone}
    here = next((node.node_id for node in cluster.nodes if node.link == "local"), None)
    return Whereabouts(rules_of(cluster.classes), zones, here)


def ray_nodes(cluster: ClusterSnapshot | None) -> tuple[NodeId, ...]:
    """Machines that take jobs by Ray where it runs: the head's own as well, which the head itself reaches otherwise."""
    nodes = () if cluster is None else cluster.nodes
    return tuple(node.node_id for node in nodes if node.link in ("ray", "local") and node.state == "ready")
