"""For whom a gateway acts at the head: told beside a request on the private socket, and put on record. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import msgspec

from cluster.audit_records import OPERATOR, Actor, Personal
from cluster.audit_sign_ins import who

HEADER = "x-potluck-on-behalf-of"


@dataclass(frozen=True, slots=True)
class Behalf:
    """A key and its role; or a person, whom an issuer names, and who goes on record under a seal."""

    key_id: str
    tenant: str
    role: str
    person: str = ""

    def header(self) -> dict[str, str]:
        return {HEADER: json.dumps(asdict(self))}


class BadBehalfError(Exception):
    """What says for whom one acts cannot be read. The head's gate answers 400, and nothing is done."""


_behalves = msgspec.json.Decoder(Behalf)


def actor_of(headers: Mapping[bytes, bytes]) -> tuple[Actor, Personal | None]:
    """Who acts: whoever can open the socket, unless it is a gateway that says for whom. Raises BadBehalfError."""
    told = headers.get(HEADER.encode())
    if told is None:
        return OPERATOR, None
    try:
        behalf = _behalves.decode(told)
    except msgspec.MsgspecError as error:
        raise BadBehalfError(str(error)) from error
    return who(behalf.key_id, behalf.person, behalf.tenant, behalf.role)
