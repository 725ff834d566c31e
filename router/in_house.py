"""Requests of the gateway to itself, as somebody: through the same limits, records and translations as if he had sent
them. What nobody waits for runs on machines that are idle, makes way there, and waits until one is."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

import httpx2
import msgspec
from msgspec.structs import replace

from cluster.knowledge import Reader
from cluster.roles import Scope
from nodes.snapshot import NodeId
from router.batches.house import GatewayHouse
from router.batches.picking import roomiest
from router.batches.relay_jobs import LineWriter
from router.batches.values import LineAnswer
from router.dialects.common import decode
from router.dispatcher import Dispatcher
from router.errors import ApiError, invalid, stopping
from router.model_list import listed
from router.permissions import refusal
from router.request import PERSON, TOKEN_HOLDER, Api, Arrival, Identity

BASE_URL = "http://gateway/v1/"
PATIENCE_S = 600.0  # of what nobody waits for, until a machine is idle
LOOK_S = 0.25  # between two looks at who is
NOT_IDLE_RETRY_S = 30
_APIS: Mapping[str, Api] = MappingProxyType(
    {"POST /v1/embeddings": "embeddings", "POST /v1/rerank": "rerank", "POST /v1/chat/completions": "chat"}
)
_GONE = "the key `{}`, on whose account this is asked, was revoked or has expired; ask for it again with another"


class _Asked(msgspec.Struct):
    """What has to be known of a body before its dialect reads it."""

    model: str = ""
    stream: bool | None = False


_asked = msgspec.json.Decoder(_Asked)


class InHouse:
    """Implements router.knowledge.room.ClientFor by `client_for`."""

    def __init__(self, dispatcher: Dispatcher, patience_s: float = PATIENCE_S) -> None:
        self._dispatcher, self._patience_s = dispatcher, patience_s
        self._house = GatewayHouse(dispatcher)
        self._guests = Counter[str]()

    def client_for(self, reader: Reader, background: bool = False) -> httpx2.AsyncClient:
        """It answers embeddings, ranks and whole chats, and may be closed or not. No timeout is its own: answers come
        within those of the gateway."""
        transport = _Transport(self, reader, background)
        return httpx2.AsyncClient(transport=transport, base_url=BASE_URL, timeout=None, trust_env=False)

    def encoders(self, reader: Reader) -> tuple[str, ...]:
        """Models that make vectors, of those that this reader may use: such as are awake first."""
        try:
            identity = self._holder(reader, "/v1/embeddings")
        except ApiError:
            return ()
        found: dict[str, bool] = {}
        for name, routes in listed(self._dispatcher.view, identity):
            if "embed" in routes.view.capabilities and name == routes.view.name and not routes.view.away:
                found[name] = bool(routes.candidates)
        return tuple(sorted(found, key=lambda name: (not found[name], name)))

    def wanted(self) -> Mapping[str, int]:
        """Requests that nobody waits for, running or not, by the model they name."""
        return self._guests

    async def answer(self, reader: Reader, background: bool, route: str, body: bytes) -> LineAnswer:
        """Raises ApiError."""
        api, path = _APIS.get(route), route.partition(" ")[2]
        if api is None:
            raise ApiError(404, "not_found", f"{route} is not asked within the gateway")
        asked = decode(_asked, body)
        if asked.stream:
            raise invalid("an answer within the gateway comes whole: leave `stream` out", "stream")
        if background:
            return await self._when_idle(reader, path, asked.model, body)
        answer = await self._send(self._arrival(api, reader, path, None), body)
        if answer is None:
            raise stopping()
        return answer

    async def _when_idle(self, reader: Reader, path: str, model: str, body: bytes) -> LineAnswer:
        clock = self._dispatcher.context.clock
        ends_s = clock.monotonic_s() + self._patience_s
        self._guests[model] += 1
        try:
            while True:
                identity = self._holder(reader, path)
                places, why = self._house.rooms(identity, model, _added(reader))
                pause_s = LOOK_S
                if places is None or places:
                    node_id = NodeId("") if places is None else roomiest(places)
                    answer = await self._send(self._arrival(_APIS[f"POST {path}"], reader, path, node_id), body)
                    if answer is not None and answer.status not in (429, 503):
                        return answer
                    why = "it made way for requests" if answer is None else "it was told to come back later"
                    pause_s = LOOK_S if answer is None else answer.retry_after_s or LOOK_S
                if clock.monotonic_s() + pause_s >= ends_s:
                    raise ApiError(503, "not_idle", f"`{model}` had no time for this: {why}").retry_after(
                        NOT_IDLE_RETRY_S
                    )
                await asyncio.sleep(pause_s)
        finally:
            self._guests[model] -= 1
            if not self._guests[model]:
                del self._guests[model]

    def _holder(self, reader: Reader, path: str) -> Identity:
        """Who this is as of now, whatever the key was allowed before. Raises ApiError 401 or 403. Of those who came by
        an issuer nothing is known here but who they are: they may use what their stores need."""
        if reader.key_id.startswith((TOKEN_HOLDER, PERSON)):
            scopes: frozenset[Scope] = frozenset({"inference"})
            who = (reader.key_id, reader.tenant, reader.group)
            return Identity(*who, "user", reader.data_class, scopes, user=reader.user)
        wall_s = self._dispatcher.context.clock.wall_s()
        found = self._dispatcher.view.keys.holder_of(reader.key_id, wall_s)
        if found is None or found.tenant != reader.tenant:
            raise ApiError(401, "invalid_api_key", _GONE.format(reader.key_id))
        refused = refusal(found, path)
        if refused is not None:
            raise refused
        return replace(found, user=reader.user)

    def _arrival(self, api: Api, reader: Reader, path: str, guest_on: NodeId | None) -> Arrival:
        """Raises ApiError 401 or 403."""
        clock = self._dispatcher.context.clock
        return Arrival(
            request_id=self._dispatcher.ids.next(),
            client_request_id=None,
            api=api,
            identity=self._holder(reader, path),
            arrived_s=clock.monotonic_s(),
            arrived_wall_s=clock.wall_s(),
            guest_on=guest_on,
            within=reader.admitted,
            added=_added(reader),
        )

    async def _send(self, arrival: Arrival, body: bytes) -> LineAnswer | None:
        """None: it made way for somebody, or the gateway stops."""
        writer = LineWriter(arrival.request_id)
        call = self._dispatcher.begin(arrival, body, writer)
        try:
            return await writer.answer
        finally:
            if call is not None:
                call.client_gone()  # says nothing to a call that has ended


def _added(reader: Reader) -> frozenset[str]:
    """What he asks about, and what his key was when he brought it, whatever it is by now."""
    return reader.classes | {reader.data_class}


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self, house: InHouse, reader: Reader, background: bool) -> None:
        self._house, self._reader, self._background = house, reader, background

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        try:
            answer = await self._house.answer(
                self._reader, self._background, f"{request.method} {request.url.path}", body
            )
        except ApiError as error:
            return httpx2.Response(error.status, headers=error.headers(), content=error.body(), request=request)
        headers = {"content-type": "application/json", "x-request-id": answer.request_id}
        if answer.retry_after_s is not None:
            headers["retry-after"] = f"{answer.retry_after_s:.0f}"
        return httpx2.Response(answer.status, headers=headers, content=answer.body, request=request)
