"""With what a client is to be connected: endpoint, key, authority and models, as they are at this moment."""

import difflib
import os
import ssl
import sys
from pathlib import Path

from cli.connect_setup import Places, ServedModel, Target
from cli.endpoint import Endpoint, local_endpoint, refusal_of
from inventory.paths import StatePaths
from inventory.secret_files import read_secret


class EndpointSilentError(Exception):
    """Nobody answers at the endpoint. The command prints it and exits 6."""

    def __init__(self, base_url: str, reason: str) -> None:
        super().__init__(f"{base_url} does not answer ({reason}); is it the address of a potluck that runs?")
        self.base_url = base_url


class NoSuchModelError(Exception):
    """The key may ask for no model of this name. The command prints it and exits 4."""

    def __init__(self, name: str, served: tuple[ServedModel, ...]) -> None:
        names = [model.name for model in served]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names) or 'none'}"
        super().__init__(f"no model that this key may ask for is called {name}; {hint}")
        self.name = name


def endpoint_for(paths: StatePaths, url: str, key_file: Path | None) -> Endpoint:
    """This machine's and the owner's key, unless told otherwise. Raises NotRunningError, ExposedSecretError."""
    if url and key_file:
        return Endpoint(_base_url(url), read_secret(key_file))
    own = local_endpoint(paths)
    return Endpoint(_base_url(url) if url else own.base_url, read_secret(key_file) if key_file else own.api_key)


def authority_for(paths: StatePaths, endpoint: Endpoint, chosen: Path | None) -> Path | None:
    """The CA that a client has to be told of: the cluster's own, unless the endpoint shows another's certificate."""
    if not endpoint.base_url.startswith("https:"):
        return None
    if chosen is not None:
        return chosen.expanduser().absolute()
    from cli.wire import load_or_default

    lan = load_or_default(paths).config.gateway.lan
    if lan is not None and lan.certificate is not None:
        return None
    return next((ca for ca in (paths.ca / "ca.crt", paths.identity / "ca.crt") if ca.exists()), None)


def target_of(endpoint: Endpoint, ca: Path | None, model: str | None) -> Target:
    """Raises EndpointSilentError, GatewayRefusedError, NoSuchModelError."""
    served = _served(endpoint, ca)
    found = next((one for one in served if model is None or one.name == model), None)
    if found is None:
        raise NoSuchModelError(model or "anything", served)
    return Target(endpoint.base_url, endpoint.api_key, found, served, str(ca) if ca else None)


def places() -> Places:
    """As each client finds its own directory."""
    home = Path.home()
    config = _directory("XDG_CONFIG_HOME", home / ".config")
    data = _directory("XDG_DATA_HOME", home / ".local" / "share")
    applications = home / "Library" / "Application Support" if sys.platform == "darwin" else config
    return Places(
        codex=str(_directory("CODEX_HOME", home / ".codex")),
        claude=str(_directory("CLAUDE_CONFIG_DIR", home / ".claude")),
        opencode_config=str(config / "opencode"),
        opencode_data=str(data / "opencode"),
        vscode=str(applications / "Code" / "User"),
        continue_dev=str(_directory("CONTINUE_GLOBAL_DIR", home / ".continue")),
        llm=str(_directory("LLM_USER_PATH", applications / "io.datasette.llm")),
        potluck=str(config / "potluck"),
    )


def _served(endpoint: Endpoint, ca: Path | None) -> tuple[ServedModel, ...]:
    """Models that can be talked to."""
    import httpx2

    try:
        answer = httpx2.get(
            f"{endpoint.base_url}/models",
            headers={"authorization": f"Bearer {endpoint.api_key}"},
            verify=ssl.create_default_context(cafile=str(ca) if ca else None),
            timeout=10.0,
            trust_env=False,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise EndpointSilentError(endpoint.base_url, str(error) or type(error).__name__) from None
    if answer.status_code != 200:
        raise refusal_of(answer.status_code, answer.content)
    return tuple(
        ServedModel(model["id"], model.get("context_length"))
        for model in answer.json()["data"]
        if "chat" in model.get("capabilities", ["chat"])
    )


def _directory(variable: str, otherwise: Path) -> Path:
    chosen = os.environ.get(variable)
    return Path(chosen).expanduser().absolute() if chosen else otherwise


def _base_url(url: str) -> str:
    return url.rstrip("/") if url.rstrip("/").endswith("/v1") else f"{url.rstrip('/')}/v1"
