"""Downloads from a Hugging Face hub: list a repository, check the room, fetch what is missing, carry on after a cut.

Nothing here runs unless the operator asked for the network. huggingface_hub lists; the bytes are fetched here, because
its downloads start again from zero after an interruption (version 2.4 discards the partial file of a failed call).
Telemetry is off, and no credential is looked up: a token is sent only where the operator named a file that holds one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from inventory.disk_space import require_room
from inventory.fetch import Fetch, FetchError, fetch, present_bytes
from inventory.hub_choice import HubFile
from inventory.progress import Progress
from inventory.secret_files import read_secret
from inventory.sources import HubSource

DEFAULT_ENDPOINT = "https://huggingface.co"


class HubError(Exception):
    """The hub did not give what was asked. Handled by the command; what has been fetched is kept for the next try."""

    def __init__(self, source: HubSource, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source, self.reason = source, reason


@dataclass(frozen=True, slots=True)
class HubOptions:
    """`attempts` in a row without a single new byte end a download; `retry_wait_s` lies between them."""

    endpoint: str = DEFAULT_ENDPOINT
    token_file: Path | None = None
    attempts: int = 5
    retry_wait_s: float = 1.0
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class HubListing:
    """A repository at one commit, so that what is listed is what is fetched."""

    commit: str
    files: tuple[HubFile, ...]


@dataclass(frozen=True, slots=True)
class HubRequest:
    """What a download needs besides the files: whence, at which commit, and into which directory."""

    source: HubSource
    commit: str
    directory: Path
    options: HubOptions
    free_bytes: int
    progress: Progress


def list_repository(source: HubSource, options: HubOptions) -> HubListing:
    """Raises HubError, ExposedSecretError."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read once, when the library is imported
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # False, not None: None would send whatever token a login on this machine left behind.
    api = HfApi(endpoint=options.endpoint, token=_token(options) or False)
    try:
        info = api.model_info(
            source.repository, revision=source.revision, files_metadata=True, timeout=options.timeout_s
        )
    except HfHubHTTPError as error:
        raise HubError(source, _refusal(error.response.status_code)) from None
    except (httpx2.HTTPError, OSError) as error:
        raise HubError(source, f"{options.endpoint} cannot be reached: {error}") from None
    if info.sha is None:
        raise HubError(source, "the hub names no commit for it")
    files = tuple(
        HubFile(file.rfilename, file.size, file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or ()
        if file.size is not None
    )
    return HubListing(info.sha, files)


def download(files: Sequence[HubFile], ask: HubRequest) -> tuple[Path, ...]:
    """Fetch files, going on from what is there. Raises HubError, DiskFullError, OSError."""
    targets = [ask.directory / quote(file.path, safe=" ") for file in files]
    present = [present_bytes(target, file.size_bytes) for target, file in zip(targets, files, strict=True)]
    total = sum(file.size_bytes for file in files)
    require_room(ask.directory, total - sum(present), ask.free_bytes)
    import httpx2

    options = ask.options
    headers = {"Authorization": f"Bearer {token}"} if (token := _token(options)) else {}
    before = 0
    with httpx2.Client(follow_redirects=True, timeout=options.timeout_s, headers=headers) as client:
        for target, file in zip(targets, files, strict=True):
            url = f"{options.endpoint}/{ask.source.repository}/resolve/{ask.commit}/{quote(file.path)}"
            plan = Fetch(url, target, file.size_bytes, options.attempts, options.retry_wait_s)
            try:
                fetch(client, plan, lambda done, _, before=before: ask.progress(before + done, total))
            except FetchError as error:
                raise HubError(ask.source, _refusal(error.status, error.reason)) from None
            before += file.size_bytes
    return tuple(targets)


def _token(options: HubOptions) -> str | None:
    return read_secret(options.token_file) if options.token_file else None


def _refusal(status: int | None, reason: str = "the hub refused") -> str:
    if status in (401, 403):
        return "the hub wants a token: put one into secrets/hub-token in the state directory (mode 0600)"
    if status == 404:
        return "the hub has no such repository, revision or file (or it is private: see secrets/hub-token)"
    return reason if status is None else f"{reason} (HTTP status {status}); try again later"
