"""`potluck connect`: what each client is told, and the command beside a running gateway."""

import asyncio
import json
import stat
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import yaml

from cli.connect import Client, maker_of
from cli.connect_merge import merged
from cli.connect_setup import PLACEHOLDER, Places, ServedModel, Setup, Target
from inventory.paths import StatePaths
from nodes.relay.contract import Address
from support.command_here import Said, potluck
from support.gateway import KEY, Running, engine_at, running_gateway

SMALL, LARGE = ServedModel("small", 2048), ServedModel("large", 131072)
TARGET = Target("http://127.0.0.1:8400/v1", "pl_key", LARGE, (SMALL, LARGE))
OVER_TLS = Target("https://server:8443/v1", "pl_key", LARGE, (LARGE,), ca="/home/me/ca.crt")
PLACES = Places(
    *(f"/home/me/{name}" for name in ("codex", "claude", "oc", "ocd", "code", "continue", "llm", "potluck"))
)
CLIENTS: tuple[Client, ...] = get_args(Client)


def texts(setup: Setup) -> dict[str, str]:
    return {file.path.removeprefix("/home/me/"): merged(file.form, None, file.tree) for file in setup.files}


@pytest.mark.parametrize("client", CLIENTS)
def test_only_files_that_others_cannot_read_hold_the_key(client: Client) -> None:
    setup = maker_of(client)(TARGET, PLACES)

    for file in setup.files:
        assert ("pl_key" in merged(file.form, None, file.tree)) == file.secret, file.path
    assert all("pl_key" not in word for word in (*setup.notes, *(value for _, value in setup.environment)))


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_is_told_of_the_authority_of_an_https_endpoint(client: Client) -> None:
    plain, over_tls = maker_of(client)(TARGET, PLACES), maker_of(client)(OVER_TLS, PLACES)

    def told(setup: Setup) -> str:
        return "".join((*texts(setup).values(), *(value for _, value in setup.environment), *setup.notes))

    assert "ca.crt" in told(over_tls)
    assert "ca.crt" not in told(plain)


def test_codex_has_its_provider_and_its_variables() -> None:
    files = texts(maker_of("codex")(OVER_TLS, PLACES))

    assert tomllib.loads(files["codex/config.toml"]) == {
        "model": "large",
        "model_provider": "potluck",
        "model_context_window": 131072,
        "model_providers": {
            "potluck": {
                "name": "potluck",
                "base_url": "https://server:8443/v1",
                "wire_api": "responses",
                "env_key": "POTLUCK_API_KEY",
            }
        },
    }
    assert files["codex/.env"] == "POTLUCK_API_KEY=pl_key\nSSL_CERT_FILE=/home/me/ca.crt\n"


def test_claude_code_asks_one_model_for_everything_and_knows_its_context() -> None:
    variables = json.loads(texts(maker_of("claude")(TARGET, PLACES))["claude/settings.json"])["env"]

    assert variables["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8400"
    assert {value for name, value in variables.items() if name.endswith("MODEL")} == {"large"}
    assert variables["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "131072"
    assert variables["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "8192"


def test_a_client_of_which_a_model_is_too_small_says_so() -> None:
    small = Target(TARGET.base_url, "k", SMALL, (SMALL,))

    for client in ("codex", "claude", "opencode"):
        assert any("2,048 tokens" in note for note in maker_of(client)(small, PLACES).notes)
        assert not any("raise `context`" in note for note in maker_of(client)(TARGET, PLACES).notes)


def test_editors_get_every_model_with_its_limits() -> None:
    (group,) = json.loads(texts(maker_of("vscode")(TARGET, PLACES))["code/chatLanguageModels.json"])
    config = yaml.safe_load(texts(maker_of("continue")(OVER_TLS, PLACES))["continue/config.yaml"])

    assert group["apiType"] == "chat-completions" and group["vendor"] == "customendpoint"
    assert [(one["id"], one["maxInputTokens"], one["maxOutputTokens"]) for one in group["models"]] == [
        ("small", 1536, 512),
        ("large", 126976, 4096),
    ]
    assert config["models"][0]["requestOptions"] == {"caBundlePath": "/home/me/ca.crt"}


@asynccontextmanager
async def endpoint(root: Path) -> AsyncIterator[tuple[Running, Callable[..., "asyncio.Future[Said]"]]]:
    """A gateway, and `potluck connect` with its address and key."""
    paths = StatePaths.at(root / "client")
    key_file = root / "key"
    async with running_gateway(root, [engine_at(Address("127.0.0.1", 9))]) as running:
        key_file.touch(mode=0o600)
        key_file.write_text(KEY)
        known = ("--url", running.base_url, "--key-file", str(key_file))

        def connect(*words: str, expect: int = 0) -> "asyncio.Future[Said]":
            call = partial(potluck, "connect", paths, *words, *known, expect=expect)
            return asyncio.get_running_loop().run_in_executor(None, call)

        yield running, connect


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "LLM_USER_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


async def test_printing_shows_no_key_unless_asked(tmp_path: Path, home: Path) -> None:
    async with endpoint(tmp_path) as (_, connect):
        shown, with_key = await connect("claude"), await connect("claude", "--print", "--show-key")

    assert PLACEHOLDER in shown.stdout and KEY not in shown.stdout + shown.stderr
    assert f"cat {tmp_path / 'key'}" in shown.stderr
    assert KEY in with_key.stdout
    assert not home.exists()
    (tmp_path / "key").unlink()


async def test_writing_is_private_and_is_taken_back(tmp_path: Path, home: Path) -> None:
    async with endpoint(tmp_path) as (_, connect):
        written = await connect("claude", "--write")
        settings = home / ".claude" / "settings.json"
        found, mode = json.loads(settings.read_text())["env"], stat.S_IMODE(settings.stat().st_mode)
        await connect("claude", "--restore")
        again = await connect("claude", "--restore", expect=4)

    assert found["ANTHROPIC_AUTH_TOKEN"] == KEY and mode == 0o600
    assert KEY not in written.stdout + written.stderr
    assert "nothing to restore" in again.stderr
    assert not settings.exists()
    (tmp_path / "key").unlink()


async def test_what_cannot_be_connected_ends_with_its_exit_code(tmp_path: Path) -> None:
    async with endpoint(tmp_path) as (_, connect):
        unknown = await connect("claude", "--model", "tpy", expect=4)
        await connect("langchain", "--write", expect=2)
        await connect("claude", "--write", "--restore", expect=2)
        (tmp_path / "key").write_text(KEY[:-1] + "x")
        await connect("claude", expect=5)
    silent = await connect("claude", expect=6)

    assert "did you mean toy?" in unknown.stderr
    assert "does not answer" in silent.stderr
    (tmp_path / "key").unlink()
