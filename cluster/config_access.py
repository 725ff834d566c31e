"""The section `access` of cluster.yaml: who is taken at the endpoint beside those who have a key."""

import base64
import binascii
import json
from typing import Annotated

from pydantic import AfterValidator, Field

from cluster.config_oidc import OidcSection
from cluster.config_section import Section
from cluster.config_values import IssuersTenant
from cluster.roles import Role

KEY_BYTES = 32
_SPKI = bytes.fromhex("302a300506032b6570032100")  # what precedes an Ed25519 key in a PUBLIC KEY (RFC 8410)


def ed25519_key(text: str) -> str:
    """A public key as PEM or JWK -> its 32 bytes in base64url, as a JWK's `x`. Raises ValueError."""
    if "PRIVATE KEY" in text:
        raise ValueError("is a private key; potluck needs the public one, and nobody but the issuer the private one")
    raw = _of_jwk(text) if text.lstrip().startswith("{") else _of_pem(text)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _of_pem(text: str) -> bytes:
    lines = [line.strip() for line in text.split("\n")]
    framed = lines[0] == "-----BEGIN PUBLIC KEY-----" and lines[-1] == "-----END PUBLIC KEY-----"
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True) if framed else b""
    except binascii.Error:
        der = b""
    if not der.startswith(_SPKI) or len(der) != len(_SPKI) + KEY_BYTES:
        raise ValueError("is not an Ed25519 public key as PEM or JWK; ${file:/PATH} reads one from a file")
    return der[len(_SPKI) :]


def _of_jwk(text: str) -> bytes:
    try:
        found = json.loads(text)
        key_type, raw = (found["kty"], found["crv"]), base64.urlsafe_b64decode(f"{found['x']}=")
    except (ValueError, KeyError, TypeError):
        raise ValueError("is not a JWK with `kty`, `crv` and `x`") from None
    if "d" in found:
        raise ValueError("is a private JWK; take its `d` away, and give it to nobody but the issuer")
    if key_type != ("OKP", "Ed25519") or len(raw) != KEY_BYTES:
        raise ValueError("is a JWK of another kind; only OKP with Ed25519 is taken")
    return raw


class JwtSection(Section):
    """Bearer tokens (JWT) of an issuer of your own, signed with EdDSA by this one key. `exp`, `iss`, `aud` and `sub`
    are required. A token may say `role`, `group` and `models`, as a key does."""

    issuer: str = Field(min_length=1, max_length=256)
    """What a token's `iss` must be."""
    audience: str = Field(min_length=1, max_length=256)
    """What a token's `aud` must be, or contain."""
    public_key: Annotated[str, AfterValidator(ed25519_key)]
    """The issuer's Ed25519 public key, as PEM or JWK: ${file:/etc/potluck/issuer.pem}"""
    roles: tuple[Role, ...] = Field(default=("user",), min_length=1)
    """The roles that a token may claim. One that claims none is a user's."""
    tenant: IssuersTenant = "default"
    """Whose tenant its holders belong to."""


class AccessSection(Section):
    """Who is taken at the endpoint beside those who have an API key."""

    jwt: JwtSection | None = None
    """Absent: only API keys are taken."""
    oidc: OidcSection | None = None
    """Absent: people log in at the dashboard with a key."""
    second_factor: tuple[Role, ...] = ()
    """Roles whose keys log in at the dashboard with the code of a second factor only; `potluck keys totp NAME` gives a
    key one. One that has one needs it there in any case. With the key alone, programs work as before."""
