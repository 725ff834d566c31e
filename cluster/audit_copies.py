"""Checkpoints of the audit on their way to members, and back when somebody verifies."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from cluster.admin_wire import AuditCopy
from cluster.audit_chain import Checkpoint
from cluster.join_records import Member
from nodes.client import NodeClient, NodeError
from nodes.snapshot import NodeId

TELL_EVERY_S = 2.0

log = structlog.get_logger("potluck.cluster.audit")


class AuditCopies:
    """Implements cluster.audit_api.CopyHolders. Every member gets the newest checkpoint within seconds."""

    def __init__(
        self,
        members: Callable[[], tuple[Member, ...]],
        client: Callable[[Member], NodeClient],
        tip: Callable[[], Checkpoint | None],
    ) -> None:
        self._members, self._client, self._tip = members, client, tip
        self._told: dict[NodeId, Checkpoint] = {}
        self._refused: dict[NodeId, str] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(TELL_EVERY_S)

    async def tell(self) -> None:
        tip = self._tip()
        if tip is not None:
            await asyncio.gather(*(self._tell_one(member, tip) for member in self._members()))

    async def copies(self) -> tuple[AuditCopy, ...]:
        return tuple(await asyncio.gather(*map(self._ask, self._members())))

    async def _tell_one(self, member: Member, tip: Checkpoint) -> None:
        name = member.node_id
        if self._told.get(name) == tip:
            return
        try:
            await self._client(member).keep_checkpoint(msgspec.json.encode(tip).decode())
        except NodeError as error:  # the next round tries again; a machine that is away is the controller's news
            if self._refused.get(name) != str(error):
                log.warning("audit_copy_failed", node=name, reason=str(error))
            self._refused[name] = str(error)
            return
        self._told[name] = tip
        self._refused.pop(name, None)

    async def _ask(self, member: Member) -> AuditCopy:
        try:
            return AuditCopy(member.node_id, await self._client(member).checkpoints())
        except NodeError as error:
            return AuditCopy(member.node_id, problem=str(error))
