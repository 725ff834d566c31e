"""Which machines get requests that are bound to zones: written down before one is sent, and told to the head.

What the head has not heard lies on the gateway's disk, so that a gateway that dies tells it when it starts again. Where
it cannot be written down, or has not been heard for too long, such requests are refused: no others know of any of this.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.sightings import Sighting
from inventory.clock import Clock
from nodes.snapshot import NodeId
from router.borders import Borders
from router.errors import ApiError
from router.log import EventLog
from router.request import EngineApi

EVERY_S = 0.5
PATIENCE_S = 30.0  # with a head that is away
MOST_UNTOLD = 20_000
AT_ONCE = 1000

_encode = msgspec.json.Encoder().encode
_sightings = msgspec.json.Decoder(Sighting)


DEEDS: Mapping[EngineApi, str] = {
    "chat": "answered", "completions": "answered", "embeddings": "embedded", "rerank": "ranked"
}  # fmt: skip
"""What an engine is sent a request for, as the audit names it."""


class GatewayWitness:
    """Implements cluster.privacy.Witness. `journal` is made when there is something to write."""

    def __init__(self, clock: Clock, borders: Callable[[], Borders], journal: Path) -> None:
        self._clock, self._borders, self._journal = clock, borders, journal
        self._telling_file = journal.with_suffix(".telling")
        self._untold: list[Sighting] = []
        self._telling: list[Sighting] = []  # they are on their way to the head, or were when it went away
        self._since_s = 0.0  # the first of those that are untold
        self._file: int | None = None
        self._refused = self._unwritten = ""

    @property
    def trouble(self) -> str:
        """Why nothing that must be put on record can be; "" where it can."""
        if self._refused or self._unwritten:
            return self._refused or self._unwritten
        untold = len(self._untold) + len(self._telling)
        if untold >= MOST_UNTOLD:
            return f"{untold} notes wait to be put on record"
        waits_s = self._clock.monotonic_s() - self._since_s if untold else 0.0
        return f"the head has not taken notes for {waits_s:.0f} s" if waits_s > PATIENCE_S else ""

    def check(self) -> None:
        """Raises ApiError 503 where a request that is bound to zones cannot be put on record."""
        trouble = self.trouble
        if trouble:
            said = f"which machine gets this request must be put on record, and the audit cannot be written: {trouble}"
            raise ApiError(503, "audit_unavailable", f"{said}; try again").retry_after(10)

    def saw(self, node_id: NodeId, classes: frozenset[str], deed: str, about: str, zone: str | None = None) -> None:
        """Called before it is sent. What may go anywhere is not written down."""
        borders = self._borders()
        zones = borders.zones_of(classes)
        if zones is None:
            return
        at_ms, where = int(self._clock.wall_s() * 1000), borders.zone_of(node_id) if zone is None else zone
        self._note(Sighting(at_ms, node_id, where, tuple(sorted(classes)), tuple(sorted(zones)), deed, about))

    def load(self) -> None:
        """What a gateway before this one could not tell. Raises OSError."""
        for path in (self._telling_file, self._journal):
            if path.exists():
                self._telling += _read(path)
        if self._telling:
            self._since_s = self._clock.monotonic_s()

    def take(self) -> tuple[Sighting, ...]:
        """What is to be told: the same again until `told`."""
        if not self._telling and self._untold:
            self._close()
            if self._journal.exists():
                self._journal.replace(self._telling_file)
            self._telling, self._untold = self._untold, []
        return tuple(self._telling)

    def told(self) -> None:
        """All that was taken is on record."""
        self._telling, self._refused = [], ""
        self._since_s = self._clock.monotonic_s()
        self._telling_file.unlink(missing_ok=True)
        if not self._untold:
            self._close()
            self._journal.unlink(missing_ok=True)

    def refused(self, why: str) -> None:
        """The head cannot write."""
        self._refused = why

    def _note(self, one: Sighting) -> None:
        if not self._untold and not self._telling:
            self._since_s = self._clock.monotonic_s()
        self._untold.append(one)
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._file = os.open(self._journal, flags, 0o600)
            os.write(self._file, _encode(one) + b"\n")
            self._unwritten = ""
        except OSError as error:
            self._unwritten = f"{self._journal}: {error.strerror}"

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class WitnessReporter:
    """Tells the head while there is anything to tell, and again until it has heard."""

    def __init__(self, head: AdminClient, witness: GatewayWitness, log: EventLog) -> None:
        self._head, self._witness, self._log = head, witness, log

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(EVERY_S)

    async def tell(self) -> None:
        while found := self._witness.take():
            try:
                for at in range(0, len(found), AT_ONCE):
                    await self._head.sent(found[at : at + AT_ONCE])
            except HeadUnreachableError as error:
                self._log.emit("sightings_not_told", error=str(error))
                return
            except AdminRefusedError as error:
                self._log.emit("sightings_not_told", error=str(error))
                self._witness.refused(str(error))
                return
            self._witness.told()


def _read(path: Path) -> list[Sighting]:
    """Whole lines: what was cut off by a crash was never sent."""
    return [_sightings.decode(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]
