"""The join listener from the other side: typed calls of a machine that joins, or that has joined already."""

import ssl
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from nodes.join_wire import (
    HEAD_NAME,
    PREFIX,
    HelloBody,
    JoinBody,
    Joined,
    Nonce,
    Offers,
    OffersBody,
    RefusalBody,
    RenewBody,
    Renewed,
    ReportBody,
    Reported,
)
from nodes.tls_client import Answer, PeerPlace, call

Expected = TypeVar("Expected")


class HeadCallError(Exception):
    """A call to the head that did not succeed."""


class HeadSilentError(HeadCallError):
    """Nobody who can prove to be the head answered. Callers that can wait try again."""


class HeadRefusedError(HeadCallError):
    """The head answered, and said no; `code` is one of nodes.join_wire.RefusalCode."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class HeadPlace:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class HeadClient:
    """`context` trusts the cluster's CA; with an identity in it the calls for members are open too."""

    def __init__(self, place: HeadPlace, context: ssl.SSLContext, timeout_s: float = 10.0) -> None:
        self._place, self._context, self._timeout_s = place, context, timeout_s

    async def hello(self, token_id: str) -> Nonce:
        return await self._call("hello", HelloBody(token_id), Nonce)

    async def join(self, body: JoinBody) -> Joined:
        return await self._call("join", body, Joined)

    async def renew(self, request_pem: str) -> Renewed:
        return await self._call("renew", RenewBody(request_pem), Renewed)

    async def report(self, body: ReportBody) -> Reported:
        return await self._call("report", body, Reported)

    async def offers(self, body: OffersBody) -> Offers:
        """Who in the cluster can give a model."""
        return await self._call("offers", body, Offers)

    async def _call(self, name: str, body: object, expected: type[Expected]) -> Expected:
        place = PeerPlace("controller", HEAD_NAME, self._place.host, self._place.port, self._context)
        try:
            answer = await call(place, "POST", f"{PREFIX}/{name}", msgspec.json.encode(body), self._timeout_s)
        except TimeoutError as error:
            raise HeadSilentError(f"the head at {place} did not answer in time") from error
        except OSError as error:
            raise HeadSilentError(f"no head of this cluster answers at {place}: {error}") from error
        if answer.status >= 400:
            raise _refusal(answer)
        try:
            return msgspec.json.decode(answer.content, type=expected)
        except msgspec.MsgspecError as error:
            raise HeadSilentError(f"the head at {self._place} speaks another version of this protocol") from error


def _refusal(answer: Answer) -> HeadCallError:
    try:
        error = msgspec.json.decode(answer.content, type=RefusalBody).error
    except msgspec.MsgspecError:
        return HeadRefusedError(answer.status, "bad_request", f"the head answered {answer.status}")
    return HeadRefusedError(answer.status, error.code, error.message)
