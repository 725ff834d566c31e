"""The operator's OpenID provider, as this gateway asks it: where people log in, and who they are by an ID token.

Nobody else is asked: no proxy of the environment, no redirect, no address of another origin than cluster.yaml names.
What a token's header says chooses a key among the issuer's own, and nothing else.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import msgspec
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from cluster.snapshot import LoginIssuer
from inventory.clock import Clock
from inventory.secret_files import ExposedSecretError, read_secret
from router.dashboard.people import LoginRefusedError

ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519")
KEY_TYPES = ("RSA", "EC", "OKP")  # never a shared secret: whoever checks with it could sign with it
SKEW_S = 60
TIMEOUT_S = 10.0
DOCUMENT_BYTES = 262_144
FRESH_S = 3600.0  # of what was asked; keys that a token names and that are not among them are asked for sooner
KEYS_AGAIN_S = 60.0
PATIENCE_S = 5.0  # after a failure: whoever presses the button does not make the gateway ask each time
BACK = "/dashboard/oidc/back"


class Discovery(msgspec.Struct, frozen=True):
    """What is read of the issuer's discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True)
class Secrets:
    """Of one login, drawn by chance."""

    state: str
    nonce: str
    verifier: str


class Provider:
    """Of one LoginIssuer; another configuration is another provider. Methods raise LoginRefusedError."""

    def __init__(self, login: LoginIssuer, clock: Clock) -> None:
        self.login, self._clock = login, clock
        self._discovery: tuple[float, Discovery] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._failed: tuple[float, str] | None = None
        self._asking = asyncio.Lock()
        self._trust: ssl.SSLContext | None = None

    async def login_url(self, secrets: Secrets) -> str:
        """Where the browser is to go."""
        found = await self.discovery()
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                found.authorization_endpoint,
                state=secrets.state,
                nonce=secrets.nonce,
                code_verifier=secrets.verifier,
            )
        return str(url)

    async def claims(self, code: str, secrets: Secrets) -> Mapping[str, object]:
        """Of whoever this code is for: the issuer says so to us, by a token that is for us and for this login."""
        found, secret = await self.discovery(), await asyncio.to_thread(self._secret)
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client(secret, found) as client:
                token = await client.fetch_token(
                    found.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=secrets.verifier,
                    redirect_uri=f"{self.login.address}{BACK}",
                )
        except (httpx2.HTTPError, OSError) as error:
            raise LoginRefusedError("issuer_down", f"{found.token_endpoint}: {_words(error)}") from error
        except OAuthError as error:
            raise LoginRefusedError("code_refused", f"no token for the code: {str(error.error)[:64]!r}") from error
        except ValueError as error:
            raise LoginRefusedError("code_refused", f"no token for the code: {_words(error)}") from error
        presented = token.get("id_token")
        if not isinstance(presented, str) or len(presented) > DOCUMENT_BYTES:
            raise LoginRefusedError("token_refused", "the issuer gave no ID token")
        return await self._checked(presented, token.get("access_token"), secrets.nonce)

    async def _checked(self, presented: str, access_token: object, nonce: str) -> Mapping[str, object]:
        try:
            token = await self._decoded(presented)
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self.login.issuer},
                    "aud": {"essential": True, "value": self.login.client_id},
                },
                params={"nonce": nonce, "client_id": self.login.client_id, "access_token": access_token},
            )
            claims.validate(now=int(self._clock.wall_s()), leeway=SKEW_S)
            _check_end(token.claims["exp"])
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise LoginRefusedError("token_refused", f"the ID token does not hold: {_words(error)}") from error
        return token.claims

    async def _decoded(self, presented: str) -> jwt.Token:
        try:
            return jwt.decode(presented, await self._key_set(FRESH_S), algorithms=ALGORITHMS)
        except InvalidKeyIdError:  # the issuer may have begun to sign with another
            return jwt.decode(presented, await self._key_set(KEYS_AGAIN_S), algorithms=ALGORITHMS)

    async def discovery(self) -> Discovery:
        async with self._asking:
            now_s = self._clock.monotonic_s()
            if self._discovery is None or now_s - self._discovery[0] >= FRESH_S:
                url = get_well_known_url(self.login.issuer, external=True)
                self._discovery = now_s, self._trusted(url, await self._document(url))
            return self._discovery[1]

    async def _key_set(self, fresh_s: float) -> KeySet:
        found = await self.discovery()
        async with self._asking:
            now_s = self._clock.monotonic_s()
            if self._keys is None or now_s - self._keys[0] >= fresh_s:
                self._keys = now_s, _signing_keys(found.jwks_uri, await self._document(found.jwks_uri))
            return self._keys[1]

    def _trusted(self, url: str, document: bytes) -> Discovery:
        try:
            found = msgspec.json.decode(document, type=Discovery)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LoginRefusedError("issuer_wrong", f"{url} is no discovery document: {error}") from error
        if found.issuer != self.login.issuer:
            raise LoginRefusedError("issuer_wrong", f"{url} is of another issuer than access.oidc.issuer")
        known = {_origin(self.login.issuer), *self.login.origins}
        for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            if _origin(endpoint) not in known:
                why = f"{url} leads to {_origin(endpoint) or 'no address'}, which access.oidc.origins does not name"
                raise LoginRefusedError("issuer_wrong", why)
        return found

    async def _document(self, url: str) -> bytes:
        """At most DOCUMENT_BYTES of it. A failure holds for some seconds."""
        now_s = self._clock.monotonic_s()
        if self._failed is not None and now_s - self._failed[0] < PATIENCE_S:
            raise LoginRefusedError("issuer_down", self._failed[1])
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._fetched(url)
        except (httpx2.HTTPError, OSError) as error:
            self._failed = now_s, f"{url}: {_words(error)}"
            raise LoginRefusedError("issuer_down", self._failed[1]) from error

    async def _fetched(self, url: str) -> bytes:
        content, verify = b"", self._verify()
        async with (
            httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=verify) as client,
            client.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > DOCUMENT_BYTES:
                    raise LoginRefusedError("issuer_wrong", f"{url} is longer than {DOCUMENT_BYTES} bytes")
        return content

    def _client(self, secret: str | None = None, found: Discovery | None = None) -> AsyncOAuth2Client:
        login, method = self.login, "none"
        if secret is not None and found is not None:
            known = found.token_endpoint_auth_methods_supported
            method = "client_secret_basic" if "client_secret_basic" in known else "client_secret_post"
        return AsyncOAuth2Client(
            client_id=login.client_id,
            client_secret=secret,
            token_endpoint_auth_method=method,
            scope=" ".join(login.scopes),
            redirect_uri=f"{login.address}{BACK}",
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            trust_env=False,
            follow_redirects=False,
            verify=self._verify(),
        )

    def _secret(self) -> str | None:
        path = self.login.client_secret_file
        try:
            return None if path is None else read_secret(Path(path))
        except (OSError, ExposedSecretError) as error:
            raise LoginRefusedError("issuer_wrong", f"access.oidc.client_secret_file: {error}") from error

    def _verify(self) -> ssl.SSLContext | bool:
        """Plain HTTP is for this machine only, and has nobody to verify."""
        if self.login.issuer.startswith("http:"):
            return False
        if self._trust is None:
            self._trust = ssl.create_default_context(cafile=self.login.authorities)
        return self._trust


def _signing_keys(url: str, document: bytes) -> KeySet:
    try:
        keys = msgspec.json.decode(document, type=dict[str, list[dict[str, object]]])["keys"]
        public = [key for key in keys if key.get("kty") in KEY_TYPES and key.get("use", "sig") == "sig"]
        return KeySet.import_key_set({"keys": public})  # type: ignore[typeddict-item]  # checked by what reads it
    except (msgspec.DecodeError, JoseError, ValueError, TypeError, KeyError) as error:
        raise LoginRefusedError("issuer_wrong", f"{url} is no set of keys: {type(error).__name__}") from error


def _check_end(expires: float | int) -> None:
    """Raises ValueError: JSON as Python reads it has NaN and infinities."""
    if isinstance(expires, bool) or not isfinite(expires):
        raise ValueError("a time without an end")


def _origin(url: str) -> str:
    """ "" for what is no address, or has more in it than an address has."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ""
    plain = parts.scheme in ("https", "http") and parts.hostname and "@" not in parts.netloc and not parts.fragment
    return f"{parts.scheme}://{parts.netloc.lower()}" if plain else ""


def _words(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
