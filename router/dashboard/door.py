"""Who is logged in at the dashboard, and as whom: by a key, or by the operator's issuer."""

import secrets
from collections.abc import Mapping

from cluster.audit_sign_ins import SignIn
from router.dashboard.cookie import ROUTES, Headers, own_page, session_id
from router.dashboard.oidc_desk import OidcDesk
from router.dashboard.people import LoginRefusedError, Person, identity_of
from router.dashboard.sessions import IDLE_S, Holder, KeyHolder, Sessions
from router.dashboard.wire import Login
from router.dispatcher import Dispatcher
from router.errors import ApiError
from router.refusals import claimed_key_id
from router.request import PERSON, TOKEN_HOLDER, Identity
from router.second_factor import SecondFactors
from router.sign_ins import SignInNotes
from router.view import GatewayView

NOTED = frozenset({401, 403, 429})


class Door:
    """Sessions are in memory: they end with the gateway. What each may do is looked up anew at every request."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher, self._clock = dispatcher, dispatcher.context.clock
        self.sessions = Sessions(lambda: secrets.token_urlsafe(32))
        self.notes = SignInNotes()
        context = dispatcher.context
        self._factors = SecondFactors(context.settings.paths.gateway / "codes.json", self._clock, context.log)
        self.oidc = OidcDesk(dispatcher.view, self._clock)

    @property
    def _view(self) -> GatewayView:
        return self._dispatcher.view

    async def enter(self, login: Login, route: str, before: str | None) -> tuple[str, Identity]:
        """A session's id, and whose it is; the one before it ends. Raises ApiError, which goes on record unless nothing
        but a code is missing, or 503 where a login cannot be put there."""
        headers = {b"authorization": b"Bearer " + login.key.encode()} if login.key else {}
        try:
            identity = self._dispatcher.identify(headers)
            check_key(identity)
            factor = self._view.keys.factor_of(identity.key_id)
            self._factors.check(factor, self.name_of(identity, None), login.code)
        except ApiError as error:
            if error.status in NOTED and error.code != "totp_needed":
                self._dispatcher.refusals.note(claimed_key_id(headers), error.code, route)
            raise
        if factor.needed:
            await self._factors.save()
        how = "key+totp" if factor.needed else "key"
        return self._begin(KeyHolder(identity.key_id, factor.salt), identity, before, how)

    async def enter_by_issuer(self, login_id: str, said: Mapping[str, str], route: str, before: str | None) -> str:
        """The id of the session of whoever the issuer sent back. Raises LoginRefusedError, which goes on record."""
        try:
            person = await self.oidc.finish(login_id, said)
        except LoginRefusedError as error:
            raise self.refused(error, route) from error
        login = self.oidc.login
        identity = identity_of(person, login)
        if login is None or identity is None:
            unknown = LoginRefusedError("not_known", "no rule of access.oidc.people is about whoever this is")
            raise self.refused(unknown, route)
        return self._begin(person, identity, before, "oidc", login.lasts_s)[0]

    def refused(self, error: LoginRefusedError, route: str) -> LoginRefusedError:
        """The same, on record."""
        self._dispatcher.refusals.note("", error.code, route)
        self._dispatcher.context.log.emit("login_refused", code=error.code, reason=str(error))
        return error

    def leave(self, headers: Headers) -> None:
        """Raises ApiError 401 where there is no session, 403 where another page asks."""
        self.holder(headers, "DELETE")
        self.sessions.end(session_id(headers) or "")

    def holder(self, headers: Headers, method: str) -> Identity:
        """Whose session it is. Raises ApiError 401, or 403 where another page asks."""
        if not own_page(method, headers):
            raise ApiError(403, "cross_site", "a session answers to the dashboard's own page only")
        identity = self.identity_of(session_id(headers) or "")
        if identity is None:
            raise ApiError(401, "no_session", f"not logged in, or idle for {IDLE_S // 60} minutes, or the key is gone")
        return identity

    def cookie_holder(self, headers: Headers, method: str, route: str | None) -> Identity | None:
        """Who asks without a key, by the session's cookie; None where keys decide. Raises as `holder` does."""
        if route not in ROUTES or b"authorization" in headers or b"x-api-key" in headers:
            return None
        return None if session_id(headers) is None else self.holder(headers, method)

    def identity_of(self, session: str, use: bool = True) -> Identity | None:
        """None of one that has ended, whose key has, or whom no rule lets in any more. Without `use` it is only looked
        at."""
        holder = self.sessions.holder_of(session, self._clock.monotonic_s(), use)
        if holder is None:
            return None
        identity = self._now(holder)
        if identity is None:
            self.sessions.end(session)
        return identity

    def name_of(self, identity: Identity, session: str | None) -> str:
        """What people call the key, or the person; an id where there is no name."""
        if identity.key_id.startswith(PERSON):
            holder = self.sessions.holder_of(session or "", self._clock.monotonic_s(), use=False)
            return holder.name if isinstance(holder, Person) else identity.key_id
        keys = self._view.access.keys if self._view.access is not None else ()
        return next((one.name for one in keys if one.key_id == identity.key_id and one.name), identity.key_id)

    def still_in(self, identity: Identity, session: str | None) -> bool:
        """Whether a stream may go on: as long as whoever began it might begin it anew. A display's keeps its session,
        for nobody touches a screen on a wall; another page that lies open is no use of it."""
        if session is not None:
            return self.identity_of(session, use=identity.role == "display") is not None
        return self._view.keys.holder_of(identity.key_id, self._clock.wall_s()) is not None

    def _now(self, holder: Holder) -> Identity | None:
        """Who that is at this moment."""
        if isinstance(holder, Person):
            return identity_of(holder, self.oidc.login)
        keys = self._view.keys
        identity = keys.holder_of(holder.key_id, self._clock.wall_s())
        if identity is None:
            return None
        factor = keys.factor_of(holder.key_id)  # a factor that was turned on since was not shown
        return None if factor.needed and factor.salt != holder.factor else identity

    def _begin(
        self, holder: Holder, identity: Identity, before: str | None, how: str, lasts_s: float = float("inf")
    ) -> tuple[str, Identity]:
        """Raises ApiError 503 where it cannot be put on record."""
        self.notes.note(sign_in(identity, how, int(self._clock.wall_s())))
        self.sessions.end(before or "")
        return self.sessions.begin(holder, self._clock.monotonic_s(), lasts_s), identity


def sign_in(identity: Identity, how: str, at_s: int) -> SignIn:
    person = identity.user if identity.key_id.startswith(PERSON) else None
    return SignIn("" if person else identity.key_id, person or "", identity.tenant, identity.role, how, at_s)


def check_key(identity: Identity) -> None:
    """Raises ApiError 401 for a token of an issuer: only of a key is it known when it is revoked."""
    if identity.key_id.startswith(TOKEN_HOLDER):
        raise ApiError(401, "no_key", "the dashboard takes keys of this cluster, no tokens of an issuer")
