"""Tells the head what is asked of models that sleep while nobody does: how many wait, run, and have ended."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.demand import DemandReport, ModelDemand
from inventory.catalog import ModelName
from nodes.snapshot import EngineId
from router.accounting import RequestRecord
from router.call_context import CallContext
from router.decision import RoutingTable

EVERY_S = 1.0
AT_ONCE_S = 0.05  # news that come together are told together


class Uses:
    """A record sink: requests that reached an engine, by model, since they were last told. What front ends ask for
    themselves uses no model: none stays awake for it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def record(self, records: Sequence[RequestRecord]) -> None:
        self._counts.update(record.model for record in records if record.attempts and not record.side_call)

    def take(self) -> Counter[str]:
        taken, self._counts = self._counts, Counter()
        return taken

    def give_back(self, taken: Counter[str]) -> None:
        """They could not be told."""
        self._counts.update(taken)


class DemandReporter:
    """Says it again every second while there is anything to say, and at once when somebody begins to wait."""

    def __init__(
        self, head: AdminClient, context: CallContext, uses: Uses, table: Callable[[], RoutingTable], name: str
    ) -> None:
        self._head, self._context, self._uses, self._table, self._name = head, context, uses, table, name
        self._told = False  # the head believes that there is demand

    async def run(self) -> None:
        """Until cancelled."""
        news = self._context.room.news
        while True:
            news.clear()
            await self.tell()
            try:
                async with asyncio.timeout(EVERY_S):
                    await news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(AT_ONCE_S)

    async def tell(self) -> None:
        taken = self._uses.take()
        models = self.demand(taken)
        if not models and not self._told:
            return
        try:
            await self._head.demand(DemandReport(self._name, models))
            self._told = bool(models)
        except (HeadUnreachableError, AdminRefusedError) as error:
            self._uses.give_back(taken)
            self._context.log.emit("demand_not_told", error=str(error))

    def demand(self, ended: Counter[str]) -> tuple[ModelDemand, ...]:
        """Of models that sleep while nobody asks: the others run whatever is said."""
        table = self._table()
        waits = {demand.model: demand for demand in self._context.room.demand()}
        running, background = Counter[ModelName](), Counter[ModelName]()
        for asked, count in self._context.guests.wanted().items():
            if asked in table.names:
                background[table.names[asked].view.name] += count
        aside = self._context.ledger.aside
        for engine_id, count in self._context.ledger.in_flight.items():
            running[_model_of(table, engine_id)] += count - aside.get(engine_id, 0)
        found = [
            ModelDemand(
                name,
                waits[name].waiting if name in waits else 0,
                running[name],
                waits[name].waited_s if name in waits else 0.0,
                ended[name],
                background[name],
            )
            for name, routes in sorted(table.models.items())
            if routes.view.keep_alive_s is not None
        ]
        return tuple(demand for demand in found if demand.wanted or demand.ended or demand.background)


def _model_of(table: RoutingTable, engine_id: EngineId) -> ModelName:
    return table.engines.get(engine_id, ModelName(""))
