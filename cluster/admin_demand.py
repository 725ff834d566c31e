"""The part of /api/v1 by which gateways say what is asked of models that sleep while nobody does."""

from typing import Annotated, Protocol

import msgspec
from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from cluster.admin_wire import DemandNoted
from cluster.demand import DemandReport, ModelDemand
from inventory.catalog import ModelName

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class DemandControl(Protocol):
    def note_demand(self, report: DemandReport) -> None:
        """It holds for a few seconds; the next one of the same gateway takes its place."""
        ...


class ModelDemandBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(max_length=256)]
    waiting: Count = 0
    running: Count = 0
    waited_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    ended: Count = 0
    background: Count = 0


class DemandBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    gateway: Annotated[str, Field(min_length=1, max_length=64)]
    models: Annotated[list[ModelDemandBody], Field(max_length=1024)]


def add_demand_routes(app: FastAPI, control: DemandControl) -> None:
    @app.post("/api/v1/demand")
    async def demand(body: DemandBody) -> Response:
        models = tuple(
            ModelDemand(ModelName(one.model), one.waiting, one.running, one.waited_s, one.ended, one.background)
            for one in body.models
        )
        control.note_demand(DemandReport(body.gateway, models))
        return Response(msgspec.json.encode(DemandNoted(len(models))), media_type="application/json")
