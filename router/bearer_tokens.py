"""Bearer tokens of the operator's own issuer: a JWT becomes an identity, or a refusal that says what is wrong with it.

A token's header chooses nothing: algorithm and key are the cluster's, and `kid`, `jwk`, `jku` and `x5u` are not read.
"""

import base64
from math import isfinite
from typing import Annotated

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cluster.roles import Role, granted
from cluster.snapshot import TokenIssuer
from router.errors import ApiError
from router.request import TOKEN_HOLDER, Identity

SKEW_S = 60.0  # clocks of two machines may differ by so much
# Time is looked at here, against the gateway's own clock.
_OPTIONS: jwt.types.Options = {
    "require": ["exp", "iss", "aud", "sub"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.InvalidAlgorithmError, "its algorithm is not EdDSA"),
    (jwt.InvalidSignatureError, "its signature is not the issuer's"),
    (jwt.InvalidIssuerError, "it is of another issuer"),
    (jwt.InvalidAudienceError, "it is for another audience"),
    (jwt.MissingRequiredClaimError, "one of `exp`, `iss`, `aud` and `sub` is missing"),
)


class Claims(msgspec.Struct, frozen=True):
    """What is read of a token; whatever else its issuer put there is passed over."""

    sub: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}\Z")]
    exp: float
    nbf: float = 0.0
    role: Role = "user"
    group: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")] = "default"
    models: tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:/*-]{1,128}\Z")], ...] | None = None


class TokenVerifier:
    """Implements router.access.Tokens for one issuer."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer
        self._key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(f"{issuer.public_key}="))

    def verify(self, token: bytes, wall_s: float) -> tuple[float, Identity]:
        """Until when it is good, and whose it is. Raises ApiError 401."""
        claims = self._claims(token)
        if not (isfinite(claims.exp) and isfinite(claims.nbf)):  # JSON as Python reads it has NaN and infinities
            raise _refused("a claim makes no sense: a time without an end")
        if claims.nbf > wall_s + SKEW_S:
            raise _refused("it is not valid yet")
        if claims.role not in self._issuer.roles:
            raise _refused(f"the role {claims.role} is not one that this cluster takes from its issuer")
        identity = Identity(
            key_id=f"{TOKEN_HOLDER}{claims.sub}",
            tenant=self._issuer.tenant,
            group=claims.group,
            role=claims.role,
            data_class="private",
            scopes=granted(claims.role, None),
            models=claims.models,
            user=claims.sub,
        )
        return claims.exp + SKEW_S, identity

    def _claims(self, token: bytes) -> Claims:
        try:
            found = jwt.decode(
                token,
                self._key,
                algorithms=["EdDSA"],
                audience=self._issuer.audience,
                issuer=self._issuer.issuer,
                options=_OPTIONS,
            )
            return msgspec.convert(found, Claims)
        except jwt.PyJWTError as error:
            raise _refused(next((why for kind, why in _REASONS if isinstance(error, kind)), "it is no JWT")) from error
        except msgspec.ValidationError as error:
            raise _refused(f"a claim makes no sense: {error}") from error


def _refused(why: str) -> ApiError:
    return ApiError(401, "invalid_token", f"this bearer token is refused: {why}")
