"""An OpenID provider on a free port of this loop: discovery, keys, codes that count once, signed ID tokens. A test may
have it say anything else."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from cluster.snapshot import LoginIssuer, PeopleRule
from inventory.clock import Clock
from inventory.secret_files import write_secret
from router.service import QuietServer
from support.gateway import Running
from support.nodes import until

CLIENT_ID = "potluck"
CLIENT_SECRET = "s3cret-of-the-client"
Sign = Callable[["Issuer", dict[str, Any]], str]


def signed(issuer: "Issuer", claims: dict[str, Any]) -> str:
    """As it should be."""
    return jwt.encode({"alg": "ES256", "kid": issuer.key.kid}, claims, issuer.key)


def unsigned(issuer: "Issuer", claims: dict[str, Any]) -> str:
    return f"{_part({'alg': 'none', 'kid': issuer.key.kid})}.{_part(claims)}."


def signed_with_what_is_public(issuer: "Issuer", claims: dict[str, Any]) -> str:
    """HS256 by the bytes of the public key, which everybody has."""
    start = f"{_part({'alg': 'HS256', 'kid': issuer.key.kid})}.{_part(claims)}"
    digest = hmac.new(issuer.key.as_pem(private=False), start.encode(), hashlib.sha256).digest()
    return f"{start}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def signed_by_another(issuer: "Issuer", claims: dict[str, Any]) -> str:
    stranger = ECKey.generate_key("P-256", {"kid": issuer.key.kid or ""})
    own = stranger.as_dict(private=False)
    return jwt.encode({"alg": "ES256", "kid": stranger.kid, "jwk": own}, claims, stranger)


@dataclass
class Issuer:
    """`person` is who is logged in there. `claims` change what its tokens say, `discovery` what it says of itself."""

    url: str
    clock: Clock
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "anna", "preferred_username": "Anna"})
    claims: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)  # of the authorization endpoint, beside code and state
    sign: Sign = signed
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "1", "use": "sig"}))
    asked: list[str] = field(default_factory=list)
    codes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    away: bool = False

    def turn_key(self) -> None:
        """Sign with another from here on."""
        self.key = ECKey.generate_key("P-256", {"kid": str(int(self.key.kid or "0") + 1), "use": "sig"})

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        } | self.discovery

    def id_token(self, nonce: str) -> str:
        now = int(self.clock.wall_s())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce}
        changed = claims | self.person | self.claims
        return self.sign(self, {name: value for name, value in changed.items() if value is not None})


def app_of(issuer: Issuer) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def count(request: Request, call_next: Any) -> Response:
        issuer.asked.append(request.url.path)
        if issuer.away:
            return Response(status_code=503)
        answer: Response = await call_next(request)
        return answer

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> Response:
        return JSONResponse(issuer.document())

    @app.get("/keys")
    async def keys() -> Response:
        unknown = {"kty": "oct", "k": "AAAA", "kid": issuer.key.kid, "use": "sig"}  # no reader may ever use it
        other = RSAKey.generate_key(2048, {"kid": "rsa", "use": "enc"}).as_dict(private=False)
        return JSONResponse({"keys": [unknown, other, issuer.key.as_dict(private=False)]})

    @app.get("/authorize")
    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        assert (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code")
        assert (asked["code_challenge_method"], "openid" in asked["scope"].split()) == ("S256", True)
        code = secrets.token_urlsafe(16)
        issuer.codes[code] = asked
        back = {"code": code, "state": asked["state"], **issuer.answer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", status_code=302)

    @app.post("/token")
    async def token(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = issuer.codes.pop(form.get("code", ""), None)
        if asked is None or not _proved(request, form, asked):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        return JSONResponse(
            {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": issuer.id_token(asked["nonce"])}
        )

    return app


@asynccontextmanager
async def running_issuer(clock: Clock) -> AsyncIterator[Issuer]:
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = Issuer(f"http://127.0.0.1:{listener.getsockname()[1]}", clock)
    server = QuietServer(uvicorn.Config(app_of(issuer), ws="none", lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started or serving.done(), "the issuer listens")
        yield issuer
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


def _proved(request: Request, form: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """The client by its secret, this login by its verifier (PKCE), and where the code was sent to."""
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    known = request.headers.get("authorization") == f"Basic {basic}"
    return known and challenge == asked["code_challenge"] and form.get("redirect_uri") == asked["redirect_uri"]


def _part(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def login_at(issuer: Issuer, running: Running, people: tuple[PeopleRule, ...]) -> LoginIssuer:
    """What a gateway is told of this issuer: whom it lets in, and for an hour."""
    secret = running.paths.secrets / "oidc"
    write_secret(secret, CLIENT_SECRET)
    return LoginIssuer(
        issuer=issuer.url,
        client_id=CLIENT_ID,
        client_secret_file=str(secret),
        address=running.base_url,
        name="School",
        scopes=("openid", "profile"),
        people=people,
        refused=(),
        lasts_s=3600.0,
        origins=(),
        authorities=None,
        tenant="school",
    )
