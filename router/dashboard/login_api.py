"""The routes of logins by an issuer: which ways there are, off to it, and back from it. Where a browser is sent to is
never taken from a request."""

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from router.dashboard.assets import HEADERS
from router.dashboard.cookie import NAME, session_id
from router.dashboard.door import Door
from router.dashboard.oidc_desk import LASTS_S
from router.dashboard.people import LoginRefusedError
from router.dashboard.wire import LoginWays
from router.errors import ApiError
from router.guard import json_answer
from router.openapi import json_operation

WAYS, PAGE = "/dashboard/ways", "/dashboard/"
OFF, BACK = "/dashboard/oidc/login", "/dashboard/oidc/back"
HERE = "here"  # this browser was sent to the address that the issuer sends it back to
BROWSER = "potluck_login"
NOT_KEPT = {**HEADERS, "cache-control": "no-store"}


def add_login_routes(app: FastAPI, door: Door) -> None:
    @app.get(WAYS, response_model=None, openapi_extra=json_operation(WAYS))
    async def ways() -> Response:
        login = door.oidc.login
        return json_answer(LoginWays(login.name if login is not None else None))

    @app.get(OFF, include_in_schema=False)
    async def off(request: Request) -> Response:
        login = door.oidc.login
        if login is None:
            return _page("login_off")
        if (
            request.headers.get("host", "").lower() != login.address.partition("://")[2]
            and HERE not in request.query_params
        ):
            return _see(f"{login.address}{OFF}?{HERE}")  # what is remembered of this browser belongs to that host
        try:
            begun = await door.oidc.begin()
        except LoginRefusedError as error:
            return _page(door.refused(error, OFF).code)
        if begun is None:
            return _page("login_off")
        url, login_id = begun
        answer = _see(url)
        # Lax: the issuer's page is another's, and it is from there that the browser comes back.
        secure = login.address.startswith("https:")
        age_s = int(LASTS_S)
        answer.set_cookie(BROWSER, login_id, age_s, path=BACK, httponly=True, samesite="lax", secure=secure)
        return answer

    _add_back(app, door)


def _add_back(app: FastAPI, door: Door) -> None:
    @app.get(BACK, include_in_schema=False)
    async def back(request: Request) -> Response:
        login = door.oidc.login
        if login is None:
            return _page("login_off")
        before = session_id(dict(request.scope["headers"]))
        try:
            said = dict(request.query_params)
            session = await door.enter_by_issuer(request.cookies.get(BROWSER, ""), said, BACK, before)
        except (LoginRefusedError, ApiError) as error:
            answer = _page(error.code)
        else:
            answer = _see(PAGE)
            give_cookie(answer, session, login.address.startswith("https:"))
        answer.delete_cookie(BROWSER, path=BACK, httponly=True, samesite="lax")
        return answer


def give_cookie(answer: Response, session: str, secure: bool) -> None:
    answer.set_cookie(NAME, session, path="/", httponly=True, samesite="strict", secure=secure)


def _page(code: str) -> Response:
    """Back to the login, which has words for each code."""
    return _see(f"{PAGE}?login={code}")


def _see(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers=NOT_KEPT)
