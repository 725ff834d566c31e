"""Programs that people use with potluck, run as themselves: in a home of their own, with nobody else to reach."""

import asyncio
import os
import platform
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.machine import POTLUCK

ROOT = Path(__file__).parent.parent.parent
MODULES = ROOT / "tests" / "clients" / "node_modules"
PYTHON_CLIENTS = ROOT / ".tools" / "clients" / "bin"
DEADLINE_S = 300
OWN = ("PATH", "LANG", "TERM")  # of our environment


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@dataclass
class Home:
    """Where a client finds its configuration, a folder that it works in, and whom else it tried to reach."""

    root: Path
    proxy_port: int
    reached_for: list[str] = field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def environment(self) -> dict[str, str]:
        proxy = f"http://127.0.0.1:{self.proxy_port}"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
        return {
            **{name: os.environ[name] for name in OWN if name in os.environ},
            **proxies,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "HOME": str(self.root),
            "TMPDIR": str(self.root / "tmp"),
        }

    async def run(self, *words: str | Path, **variables: str) -> Ended:
        pipe = asyncio.subprocess.PIPE
        environment = {**self.environment, **variables}
        process = await asyncio.create_subprocess_exec(
            *words,
            env=environment,
            cwd=self.work,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                out, err = await process.communicate()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)  # what it started holds its pipes open
            out, err = await process.communicate()
            raise AssertionError(f"{words[0]} did not end:\n{out.decode()}\n{err.decode()}") from None
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def connect(self, client: str, base_url: str, key: str, *more: str) -> Ended:
        """`potluck connect CLIENT --write`, as on a machine that has the address and a key, and nothing else."""
        key_file = self.root / "potluck.key"
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        done = await self.run(
            POTLUCK, "connect", client, "--write", "--url", base_url, "--key-file", str(key_file), *more
        )
        assert done.status == 0, done
        return done


@asynccontextmanager
async def client_home(root: Path) -> AsyncIterator[Home]:
    """Gone at the end: clients keep keys and prompts, which is what they are for."""
    home = Home(root, 0)
    home.work.mkdir(parents=True)
    (root / "tmp").mkdir()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            home.reached_for.append((await reader.readline()).decode(errors="replace").strip())
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    home.proxy_port = server.sockets[0].getsockname()[1]
    try:
        yield home
    finally:
        server.close()
        shutil.rmtree(root, ignore_errors=True)


def claude() -> tuple[str | Path, ...]:
    """Its own way to start where nothing ran at installation."""
    return ("node", MODULES / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs")


def codex() -> tuple[str | Path, ...]:
    return (MODULES / ".bin" / "codex",)


def opencode() -> tuple[str | Path, ...]:
    return (MODULES / "opencode-linux-x64" / "bin" / "opencode",)


def has_opencode() -> bool:
    """Its package for another platform may not be in the lock."""
    return sys.platform == "linux" and platform.machine() == "x86_64"
