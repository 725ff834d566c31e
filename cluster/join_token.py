"""Join tokens as pure values: what the pasted text holds, and how its secret is proved without being sent.

The head stores a verifier only. A proof is the client's key hidden under a keyed hash of the whole message, as in SCRAM
(RFC 5802): whoever reads the registry or the wire learns nothing that joins another machine.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass

from nodes.join_wire import JoinBody

LABEL = "pj1_"
_SHAPE = struct.Struct(">8s32s32sQ")


class BadTokenError(Exception):
    """Text that is no join token, or one that lost a part on its way. `potluck join` prints this and exits 2."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    token_id: str  # hexadecimal
    secret: bytes
    fingerprint: bytes  # SHA-256 of the CA's public key
    expires_s: int

    def text(self) -> str:
        packed = _SHAPE.pack(bytes.fromhex(self.token_id), self.secret, self.fingerprint, self.expires_s)
        checked = packed + hashlib.sha256(packed).digest()[:4]
        return LABEL + base64.urlsafe_b64encode(checked).rstrip(b"=").decode()


def parse_token(text: str) -> JoinToken:
    """Raises BadTokenError."""
    text = text.strip()
    if not text.startswith(LABEL):
        raise BadTokenError(f"a join token begins with {LABEL}; make one on the head: potluck token create --node NAME")
    encoded = text.removeprefix(LABEL)
    try:
        checked = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadTokenError("the join token is damaged; paste the whole line") from error
    packed = checked[: _SHAPE.size]
    if len(checked) != _SHAPE.size + 4 or hashlib.sha256(packed).digest()[:4] != checked[_SHAPE.size :]:
        raise BadTokenError("the join token is not whole; paste the whole line")
    token_id, secret, fingerprint, expires_s = _SHAPE.unpack(packed)
    return JoinToken(token_id.hex(), secret, fingerprint, expires_s)


def verifier_of(secret: bytes) -> bytes:
    """What the head keeps of a secret."""
    return hashlib.sha256(_client_key(secret)).digest()


def proof_of(secret: bytes, body: JoinBody) -> str:
    """For `body.proof`; whatever that field holds does not matter."""
    return _xor(_client_key(secret), _signature(verifier_of(secret), body)).hex()


def proves(verifier: bytes, body: JoinBody) -> bool:
    try:
        proof = bytes.fromhex(body.proof)
    except ValueError:
        return False
    if len(proof) != len(verifier):
        return False
    client_key = _xor(proof, _signature(verifier, body))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier)


def _client_key(secret: bytes) -> bytes:
    return hmac.digest(secret, b"potluck join, version 1", hashlib.sha256)


def _signature(verifier: bytes, body: JoinBody) -> bytes:
    parts = (body.token_id, body.nonce, body.node, str(body.port), body.host, body.request_pem)
    message = b"".join(struct.pack(">I", len(part.encode())) + part.encode() for part in parts)
    return hmac.digest(verifier, message, hashlib.sha256)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
