"""One file over HTTP, resumable: what has arrived stays on disk, and the next try asks for the rest only."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.progress import Progress

if TYPE_CHECKING:
    import httpx2


class FetchError(Exception):
    """The server did not give the file. Handled by the caller, which knows what the file was for."""

    def __init__(self, url: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"{url}: {reason}")
        self.url, self.reason, self.status = url, reason, status


@dataclass(frozen=True, slots=True)
class Fetch:
    """`attempts` tries in a row that bring no new byte end it; `retry_wait_s` lies between tries."""

    url: str
    target: Path
    size_bytes: int
    attempts: int
    retry_wait_s: float

    @property
    def partial(self) -> Path:
        return _partial(self.target)


def present_bytes(target: Path, size_bytes: int) -> int:
    """How much of a file has arrived already."""
    if _size(target) == size_bytes:
        return size_bytes
    arrived = _size(_partial(target))
    return arrived if arrived <= size_bytes else 0


def fetch(client: "httpx2.Client", plan: Fetch, progress: Progress) -> None:
    """Bring `plan.target` to exactly `plan.size_bytes`. Raises FetchError, OSError; keeps what arrived."""
    import httpx2

    if _size(plan.target) == plan.size_bytes:
        return
    idle, arrived = 0, present_bytes(plan.target, plan.size_bytes)
    while arrived < plan.size_bytes:
        problem = "the connection ended early"
        try:
            _stream(client, plan, arrived, progress)
        except httpx2.TransportError as error:
            problem = f"{type(error).__name__}: {error}"
        before, arrived = arrived, present_bytes(plan.target, plan.size_bytes)
        if arrived < plan.size_bytes:
            idle = 0 if arrived > before else idle + 1
            if idle >= plan.attempts:
                raise FetchError(plan.url, f"{problem}, {idle} times in a row; the {arrived} bytes that came are kept")
            time.sleep(plan.retry_wait_s)
    plan.partial.replace(plan.target)


def _stream(client: "httpx2.Client", plan: Fetch, start: int, progress: Progress) -> None:
    headers = {"Accept-Encoding": "identity"}  # a compressed body has no byte ranges
    if start:
        headers["Range"] = f"bytes={start}-"
    with client.stream("GET", plan.url, headers=headers) as response:
        if response.status_code not in (200, 206):
            raise FetchError(plan.url, "the server refused", response.status_code)
        if response.status_code == 200:
            start = 0  # it does not do ranges: everything comes again
        elif not response.headers.get("content-range", "").startswith(f"bytes {start}-"):
            raise FetchError(plan.url, "the server answered with another part than was asked for")
        with plan.partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            done = start
            # Without a chunk size: a size would gather bytes in memory, and a cut connection would lose them.
            for chunk in response.iter_raw():
                done += len(chunk)
                if done > plan.size_bytes:
                    raise FetchError(plan.url, f"the server sends more than the announced {plan.size_bytes} bytes")
                file.write(chunk)
                progress(done, plan.size_bytes)


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
