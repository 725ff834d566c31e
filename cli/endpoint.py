"""Where this machine's gateway is and the owner's key for it: what every command that talks to it needs."""

from dataclasses import dataclass

from inventory.paths import StatePaths
from inventory.secret_files import read_secret
from nodes.role_lock import running


class NotRunningError(Exception):
    """No gateway of this state directory runs. The command prints this and exits 6."""

    def __init__(self, paths: StatePaths) -> None:
        super().__init__(f"potluck does not run in {paths.root}; start it with `potluck up`")
        self.paths = paths


class HeadAwayError(Exception):
    """The rest of potluck runs, the head does not answer. The command prints this and exits 6."""

    def __init__(self, paths: StatePaths, reason: str) -> None:
        super().__init__(
            f"the head does not answer just now ({reason}); what ran goes on, and `potluck up` starts it again by "
            f"itself within seconds. If it stays away: {paths.logs}/head.log"
        )


class GatewayRefusedError(Exception):
    """The gateway answered with an error. The command prints it; the exit code follows the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def away(paths: StatePaths, reason: str) -> NotRunningError | HeadAwayError:
    """What it means that no head answers here."""
    return NotRunningError(paths) if running(paths.run, "up") is None else HeadAwayError(paths, reason)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`base_url` is what OpenAI clients call base_url: it ends in /v1."""

    base_url: str
    api_key: str

    @property
    def root_url(self) -> str:
        return self.base_url.removesuffix("/v1")

    @property
    def dashboard_url(self) -> str:
        return f"{self.root_url}/dashboard/"


def local_endpoint(paths: StatePaths) -> Endpoint:
    """Raises NotRunningError, ExposedSecretError."""
    record = running(paths.run, "gateway")
    if record is None or record.endpoint is None or not paths.owner_key.exists():
        raise NotRunningError(paths)
    return Endpoint(base_url=record.endpoint, api_key=read_secret(paths.owner_key))


def refusal_of(status: int, body: bytes) -> GatewayRefusedError:
    """An answer that is an error, with its own words as far as they can be found."""
    import json

    try:
        return GatewayRefusedError(status, str(json.loads(body)["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return GatewayRefusedError(status, body[:200].decode(errors="replace"))
