"""The page and its files as they were built: open to everybody, for there is no data in them."""

import mimetypes
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse, Response

from router.errors import ApiError

PAGE, FILES = "/dashboard", "/dashboard/{path:path}"
STATIC = Path(__file__).parent / "static"
POLICY = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
HASHED = "assets/"  # their names change with what they hold
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Assets:
    """Read once: what is served is what was there when the gateway started, and no path leads elsewhere."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "BUILT"
        }

    def answer(self, path: str) -> Response:
        """Raises ApiError 404."""
        name = path or "index.html"
        body = self._files.get(name)
        if body is None:
            raise ApiError(404, "not_found", f"the dashboard has no file {path[:200]!r}; it begins at {PAGE}/")
        cached = "public, max-age=31536000, immutable" if name.startswith(HASHED) else "no-cache"
        return Response(body, headers={**HEADERS, "cache-control": cached}, media_type=_type_of(name))


def add_pages(app: FastAPI, assets: Assets) -> None:
    @app.get(PAGE, include_in_schema=False)
    async def page() -> Response:
        return RedirectResponse(f"{PAGE}/", headers=HEADERS)

    @app.get(FILES, include_in_schema=False)
    async def file(path: str) -> Response:
        return assets.answer(path)


def _type_of(name: str) -> str:
    """Of what is here, whatever the machine's own table says."""
    known = TYPES.get(Path(name).suffix)
    return known or mimetypes.guess_type(name)[0] or "application/octet-stream"
