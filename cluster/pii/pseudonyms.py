"""Names that stand for values: the same for the same value of a tenant, and only the key tells which. Pure.

A pseudonym says its kind and 64 bits of a keyed hash, as `[IBAN_1f3a0c5be2d49a77]`: models take it for a name, and
whoever holds the text learns no more than that two are the same.
"""

import hashlib
import hmac
import re

from cluster.pii.spans import KINDS, Kind

HEX = 16
TOKEN = re.compile(rf"\[(?:{'|'.join(kind.upper() for kind in KINDS)})_[0-9a-f]{{{HEX}}}\]")
LONGEST = max(len(kind) for kind in KINDS) + HEX + 3


def key_of(pepper: bytes, tenant: str) -> bytes:
    """A tenant's own, the same at every gateway of the cluster."""
    return hmac.digest(pepper, b"pseudonyms of " + tenant.encode(), hashlib.sha256)


def pseudonym(key: bytes, kind: Kind, value: str) -> str:
    digest = hmac.digest(key, f"{kind}\x00{value}".encode(), hashlib.sha256)
    return f"[{kind.upper()}_{digest.hex()[:HEX]}]"


def blank(kind: Kind) -> str:
    """What stands where a value was taken out for good."""
    return f"[{kind.upper()}]"
