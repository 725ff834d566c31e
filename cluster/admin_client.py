"""The admin API from the other side: typed calls over the head's Unix socket, for the CLI and the gateway."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote, urlencode

import httpx2
import msgspec
from msgspec import structs

from cluster.admin_wire import (
    AuditCopy,
    AuditCopyList,
    AuditStanding,
    ConfigApplied,
    ConfigText,
    DemandNoted,
    DocumentsNoted,
    DoubtsNoted,
    FactorMade,
    FaultBody,
    KeyFacts,
    KeyList,
    KeyMade,
    MemberRemoved,
    NodeLog,
    PrivacyAnswer,
    PseudonymRevealed,
    RefusalsNoted,
    RotatedKey,
    SightingsNoted,
    SignInsNoted,
    SubjectErased,
    TokenMade,
)
from cluster.audit_documents import DocumentDeed
from cluster.audit_sign_ins import SignIn
from cluster.audit_tally import Refusal
from cluster.audit_wire import AuditPage, AuditQuestion, AuditVerdict
from cluster.behalf import Behalf
from cluster.demand import DemandReport
from cluster.doubts import EngineDoubt
from cluster.erasure import Sought, sought_document
from cluster.fit_frontier import FrontierDocument
from cluster.fit_wire import FitDocument
from cluster.key_order import KeyOrder
from cluster.ledger_report import LedgerDocument
from cluster.limits import NO_LIMITS, Limits
from cluster.model_wishes import ModelWish
from cluster.plan_values import ConfigPlan
from cluster.publication import Publication, decode_line
from cluster.sightings import Sighting
from cluster.snapshot import ClusterSnapshot
from cluster.wishes import NodeWish
from nodes.unix_server import unix_client

Body = TypeVar("Body")

SILENCE_S = 10.0  # five heartbeats


class HeadUnreachableError(Exception):
    """Nobody answers on the head's socket. The CLI prints it and exits 6; the gateway serves on and tries again."""

    def __init__(self, socket: Path, reason: str) -> None:
        super().__init__(
            f"the head does not answer at {socket} ({reason}); "
            "start it with `potluck up`, or see what `potluck doctor` says"
        )
        self.socket, self.reason = socket, reason


class AdminRefusedError(Exception):
    """The head answered, and said no. `code` is stable. The CLI prints the message and exits 1."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class AdminClient:
    """One call is one connection: commands are short, and a head that restarts is never in the way."""

    def __init__(self, socket: Path, timeout_s: float = 10.0, behalf: Behalf | None = None) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._headers = behalf.header() if behalf is not None else {}

    def on_behalf_of(self, behalf: Behalf) -> "AdminClient":
        """The same, for somebody whom the head's audit is to name."""
        return AdminClient(self._socket, self._timeout_s, behalf)

    async def snapshot(self) -> ClusterSnapshot:
        """Raises AdminRefusedError with code `starting` before the head's first look at the machines."""
        return await self._call("GET", "/api/v1/snapshot", ClusterSnapshot)

    async def config(self) -> ConfigText:
        return await self._call("GET", "/api/v1/config", ConfigText)

    async def apply_config(self, text: str) -> ConfigApplied:
        """Raises AdminRefusedError with code `invalid_config`; its message lists every problem."""
        return await self._call("POST", "/api/v1/config", ConfigApplied, {"text": text})

    async def plan_config(self, text: str) -> ConfigPlan:
        """What `apply_config` would change. Raises AdminRefusedError with code `invalid_config`."""
        return await self._call("POST", "/api/v1/config/plan", ConfigPlan, {"text": text})

    async def rotate_owner(self) -> RotatedKey:
        """The key itself is in the file that the answer names."""
        return await self._call("POST", "/api/v1/keys/owner/rotate", RotatedKey)

    async def keys(self) -> tuple[KeyFacts, ...]:
        """Every key there is or was, oldest first."""
        return (await self._call("GET", "/api/v1/keys", KeyList)).keys

    async def create_key(self, order: KeyOrder) -> KeyMade:
        """Raises AdminRefusedError with code `name_taken` or `invalid_request`."""
        limits = {"limits": _set(order.limits)} if order.limits != NO_LIMITS else {}
        rest = {name: value for name, value in asdict(order).items() if name != "limits"}
        return await self._call("POST", "/api/v1/keys", KeyMade, rest | limits)

    async def privacy(self, deed: Literal["holds", "export", "erase"], sought: Sought) -> PrivacyAnswer:
        """What the head knows of somebody, hands over, or forgets; the latter two go on record."""
        return await self._call("POST", f"/api/v1/privacy/{deed}", PrivacyAnswer, sought_document(sought))

    async def rotate_key(self, name: str) -> KeyMade:
        """Raises AdminRefusedError with code `not_found`, `expired` or `owner_key`."""
        return await self._call("POST", f"/api/v1/keys/{quote(name, safe='')}/rotate", KeyMade)

    async def limit_key(self, name: str, limits: Limits) -> KeyFacts:
        """Raises AdminRefusedError with code `not_found` or `owner_key`."""
        return await self._call("PUT", f"/api/v1/keys/{quote(name, safe='')}/limits", KeyFacts, _set(limits))

    async def factor_on(self, name: str) -> FactorMade:
        """Another second factor, in place of one that it may have. Raises AdminRefusedError with code `not_found`."""
        return await self._call("PUT", f"/api/v1/keys/{quote(name, safe='')}/totp", FactorMade)

    async def factor_off(self, name: str) -> KeyFacts:
        """Raises AdminRefusedError with code `not_found`."""
        return await self._call("DELETE", f"/api/v1/keys/{quote(name, safe='')}/totp", KeyFacts)

    async def revoke_key(self, name: str) -> KeyFacts:
        """Raises AdminRefusedError with code `not_found` or `owner_key`."""
        return await self._call("DELETE", f"/api/v1/keys/{quote(name, safe='')}", KeyFacts)

    async def reveal(self, token: str, tenant: str) -> PseudonymRevealed:
        """What a pseudonym in documents stands for. Raises AdminRefusedError with code `not_found`."""
        return await self._call("POST", "/api/v1/pii/reveal", PseudonymRevealed, {"token": token, "tenant": tenant})

    async def create_token(self, node: str, ttl_s: int, host: str = "") -> TokenMade:
        """Raises AdminRefusedError with code `lan_off` or `already_member`."""
        return await self._call("POST", "/api/v1/tokens", TokenMade, {"node": node, "ttl_s": ttl_s, "host": host})

    async def remove_node(self, name: str) -> MemberRemoved:
        """Revoke a member. Raises AdminRefusedError with code `lan_off` or `not_found`."""
        return await self._call("DELETE", f"/api/v1/nodes/{name}", MemberRemoved)

    async def set_duty(self, name: str, verb: Literal["cordon", "uncordon", "drain"]) -> NodeWish:
        """Raises AdminRefusedError with code `not_found`."""
        return await self._call("POST", f"/api/v1/nodes/{quote(name, safe='')}/{verb}", NodeWish)

    async def load_model(self, name: str) -> ModelWish:
        """Raises AdminRefusedError with code `not_found`."""
        return await self._call("POST", f"/api/v1/models/{quote(name, safe='')}/load", ModelWish)

    async def unload_model(self, name: str) -> ModelWish:
        """Raises AdminRefusedError with code `not_found`."""
        return await self._call("POST", f"/api/v1/models/{quote(name, safe='')}/unload", ModelWish)

    async def set_labels(self, name: str, changes: Mapping[str, str | None]) -> NodeWish:
        """None takes a label away. Raises AdminRefusedError with code `not_found`."""
        path = f"/api/v1/nodes/{quote(name, safe='')}/labels"
        return await self._call("PUT", path, NodeWish, {"changes": dict(changes)})

    async def node_log(self, name: str, engine: str | None, lines: int) -> str:
        """Raises AdminRefusedError with code `not_found` or `node_unreachable`."""
        query = urlencode({"lines": lines, **({"engine": engine} if engine else {})})
        return (await self._call("GET", f"/api/v1/nodes/{quote(name, safe='')}/logs?{query}", NodeLog)).text

    async def doubt(self, doubts: Sequence[EngineDoubt]) -> None:
        """What a gateway found out about engines; it holds for a few seconds."""
        await self._call("POST", "/api/v1/doubts", DoubtsNoted, {"doubts": [asdict(doubt) for doubt in doubts]})

    async def demand(self, report: DemandReport) -> None:
        """What a gateway has of models that sleep while nobody asks; it holds for a few seconds."""
        await self._call("POST", "/api/v1/demand", DemandNoted, asdict(report))

    async def fit(self, question: Mapping[str, object]) -> FitDocument:
        """Whether a model fits, and where. Raises AdminRefusedError with code `not_found` or `invalid_request`."""
        return await self._call("POST", "/api/v1/fit", FitDocument, question)

    async def frontier(self, question: Mapping[str, object]) -> FrontierDocument:
        """How far each machine goes with a model. Raises as `fit` does."""
        return await self._call("POST", "/api/v1/fit/frontier", FrontierDocument, question)

    async def ledger(self, node: str | None = None) -> LedgerDocument:
        """What was predicted for engines and what they took, on one machine or on all."""
        query = f"?{urlencode({'node': node})}" if node else ""
        return await self._call("GET", f"/api/v1/fit/ledger{query}", LedgerDocument)

    async def audit_trouble(self) -> str:
        """Why the head can put nothing on record, and so refuses to act; "" where it can."""
        return (await self._call("GET", "/api/v1/audit", AuditStanding)).trouble

    async def audit_copies(self) -> tuple[AuditCopy, ...]:
        """What every member keeps of the audit's checkpoints."""
        return (await self._call("GET", "/api/v1/audit/copies", AuditCopyList)).copies

    async def audit_records(self, question: AuditQuestion) -> AuditPage:
        """Raises AdminRefusedError with code `audit_unavailable`."""
        asked = {name: value for name, value in asdict(question).items() if value not in (None, "")}
        return await self._call("GET", f"/api/v1/audit/records?{urlencode(asked)}", AuditPage)

    async def audit_verdict(self) -> AuditVerdict:
        """Reads all of it. Raises AdminRefusedError with code `audit_unavailable`."""
        return await self._call("GET", "/api/v1/audit/verdict", AuditVerdict)

    async def erase_subject(self, subject: str) -> str:
        """Forget whom the audit means by its pseudonym, which is returned. Raises AdminRefusedError, `not_found`."""
        return (await self._call("POST", "/api/v1/audit/erase", SubjectErased, {"subject": subject})).pseudonym

    async def refused(self, refusals: Mapping[Refusal, int]) -> None:
        """Whom a gateway refused, and how often. Returns once it is on record."""
        told = [
            {"cause": one.cause, "key_id": one.key_id, "path": one.target, "count": count}
            for one, count in refusals.items()
        ]
        await self._call("POST", "/api/v1/audit/refusals", RefusalsNoted, {"refusals": told})

    async def signed_in(self, sign_ins: Sequence[SignIn]) -> None:
        """Who logged in at a gateway's dashboard. Returns once it is on record."""
        told = [asdict(one) for one in sign_ins]
        await self._call("POST", "/api/v1/audit/sign-ins", SignInsNoted, {"sign_ins": told})

    async def sent(self, sightings: Sequence[Sighting]) -> None:
        """Which machines a gateway sent what is bound to zones. Returns once it is on record."""
        told = [structs.asdict(one) for one in sightings]
        await self._call("POST", "/api/v1/audit/sent", SightingsNoted, {"sightings": told})

    async def documents_used(self, deeds: Sequence[DocumentDeed]) -> None:
        """What was done with documents at a gateway. Returns once it is on record."""
        told = [asdict(one) for one in deeds]
        await self._call("POST", "/api/v1/audit/documents", DocumentsNoted, {"deeds": told})

    async def watch(self) -> AsyncIterator[Publication]:
        """Until the head goes. Raises HeadUnreachableError when it cannot be reached or falls silent."""
        try:
            async with unix_client(self._socket, SILENCE_S) as client, client.stream("GET", "/api/v1/watch") as answer:
                if answer.status_code != httpx2.codes.OK:
                    raise _refusal(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    yield decode_line(line.encode())
        except httpx2.TransportError as error:
            raise HeadUnreachableError(self._socket, _words(error)) from error

    async def _call(self, method: str, path: str, kind: type[Body], body: object = None) -> Body:
        try:
            async with unix_client(self._socket, self._timeout_s) as client:
                answer = await client.request(method, path, json=body, headers=self._headers)
        except httpx2.TransportError as error:
            raise HeadUnreachableError(self._socket, _words(error)) from error
        if answer.status_code != httpx2.codes.OK:
            raise _refusal(answer.status_code, answer.content)
        return msgspec.json.decode(answer.content, type=kind)


def _refusal(status: int, content: bytes) -> AdminRefusedError:
    try:
        fault = msgspec.json.decode(content, type=FaultBody).error
    except msgspec.DecodeError:
        return AdminRefusedError(status, "unknown", f"the head answered {status} without a reason; see its log")
    return AdminRefusedError(status, fault.code, fault.message)


def _words(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__


def _set(limits: Limits) -> dict[str, object]:
    """Those that are set: what goes on record is what somebody asked for."""
    return {name: value for name, value in asdict(limits).items() if value is not None}
