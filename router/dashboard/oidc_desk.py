"""Logins by an issuer, from the button to the session: each is begun by one browser, and ends once."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.snapshot import LoginIssuer
from inventory.clock import Clock
from router.dashboard.people import LoginRefusedError, Person, person_of
from router.view import GatewayView

if TYPE_CHECKING:
    from router.dashboard.oidc_provider import Provider, Secrets

LASTS_S = 600.0  # for a person to type a password and find a second factor
MOST = 1024  # that are under way; beyond it the oldest is forgotten


LOST = "login_lost"  # what came back belongs to no login that this browser began here, or not any more


@dataclass(frozen=True, slots=True)
class _Begun:
    secrets: "Secrets"
    provider: "Provider"
    at_s: float


class OidcDesk:
    """Where cluster.yaml names no issuer, nothing here is there: no route leads to one, and no library is loaded."""

    def __init__(self, view: GatewayView, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self._provider: Provider | None = None
        self._begun: OrderedDict[str, _Begun] = OrderedDict()

    @property
    def login(self) -> LoginIssuer | None:
        return self._view.access.login if self._view.access is not None else None

    async def begin(self) -> tuple[str, str] | None:
        """The issuer's address for this browser, and the secret by which it is known when it comes back; None where
        no issuer is named. Raises LoginRefusedError."""
        provider = self._current()
        if provider is None:
            return None
        from router.dashboard.oidc_provider import Secrets

        drawn = Secrets(*(secrets.token_urlsafe(32) for _ in range(3)))
        url = await provider.login_url(drawn)
        login_id = secrets.token_urlsafe(32)
        self._begun[login_id] = _Begun(drawn, provider, self._clock.monotonic_s())
        while len(self._begun) > MOST:
            self._begun.popitem(last=False)
        return url, login_id

    async def finish(self, login_id: str, said: Mapping[str, str]) -> Person:
        """Whom the issuer sent back. Whatever comes of it, this login is over. Raises
        LoginRefusedError."""
        begun, provider = self._begun.pop(login_id, None), self._current()
        if begun is None or begun.provider is not provider:
            raise LoginRefusedError(LOST, "no login was begun by this browser, or cluster.yaml has changed since")
        if self._clock.monotonic_s() - begun.at_s >= LASTS_S:
            raise LoginRefusedError(LOST, f"it took longer than {LASTS_S / 60:.0f} minutes")
        if not hmac.compare_digest(said.get("state", "").encode(), begun.secrets.state.encode()):
            raise LoginRefusedError(LOST, "its `state` is another's")
        await _check_issuer(begun.provider, said.get("iss"))
        if "error" in said or not said.get("code"):
            raise LoginRefusedError("issuer_refused", f"the issuer says {said.get('error', 'nothing')[:64]!r}")
        claims = await begun.provider.claims(said["code"], begun.secrets)
        person = person_of(claims, begun.provider.login)
        if person is None:
            raise LoginRefusedError("token_refused", "the ID token does not hold: its `sub` makes no sense")
        return person

    def _current(self) -> "Provider | None":
        login = self.login
        if login is None:
            self._provider = None
        elif self._provider is None or self._provider.login != login:
            from router.dashboard.oidc_provider import Provider

            self._provider = Provider(login, self._clock)
        return self._provider


async def _check_issuer(provider: "Provider", said: str | None) -> None:
    """RFC 9207: that the answer is of the issuer that was asked, where it says whose it is."""
    must_say = (await provider.discovery()).authorization_response_iss_parameter_supported
    if (said is None and must_say) or (said is not None and said != provider.login.issuer):
        raise LoginRefusedError("issuer_wrong", "the answer is of another issuer than the one that was asked")
