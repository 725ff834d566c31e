"""Inside a sealed process: refuses every address outside the cluster, and writes down who tried.

It imports nothing of potluck, because Python starts it as the first thing of processes that do not have it: engines,
Ray's workers, whatever a sealed process starts. It is an audit hook, so it hears of what Python's own modules do,
whichever library asked for it. What C code does by itself it cannot hear; nodes.sealing.watch looks for that.

The directory that POTLUCK_SEALED_DIR names holds `rules.json`, which says what is allowed and is read again when it
changes, and `journal.jsonl`, to which every process of the machine appends. Never content: an address, the names of
modules on the stack, and which process.
"""

import atexit
import errno
import ipaddress
import json
import os
import sys
import threading
import time
from types import FrameType
from typing import Any

DIRECTORY = "POTLUCK_SEALED_DIR"
RULES, JOURNAL = "rules.json", "journal.jsonl"
FLUSH_S = 60.0  # what is allowed, or refused again, is added up for so long
MOST_MODULES, MOST_KEYS = 12, 256

# Programs that are for the network and for nothing else (torch, for one, computes checksums with openssl). A program
# that is not in this list is seen by the watch.
PROGRAMS = frozenset(
    {
        "apt", "apt-get", "aria2c", "brew", "conda", "curl", "dig", "docker", "ftp", "gh", "git", "host", "http",
        "lynx", "nc", "ncat", "netcat", "npm", "npx", "nslookup", "ping", "pip", "pip3", "rsync", "scp", "sftp",
        "socat", "ssh", "telnet", "traceroute", "uv", "wget", "wscat", "yarn",
    }
)  # fmt: skip
_LOCAL_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost"})
_OPTIONS_WITH_A_WORD = frozenset({"-X", "-W", "--check-hash-based-pycs"})
_OWN = frozenset(
    {__name__, "nodes.sealing.guard", "potluck_sealed", "sitecustomize", "runpy", "importlib", "_frozen_importlib"}
)


class SealedError(PermissionError):
    """Sealed mode refused it. An OSError, as a network gives that does not lead there: libraries know what to do."""


class Rules:
    """What rules.json allows, read again when the file changes. Without it nothing but this machine is."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mark: tuple[int, int] | None = None
        self.networks: tuple[Any, ...] = ()
        self.names: frozenset[str] = frozenset()
        self.sealed = True

    def look(self) -> None:
        try:
            facts = os.stat(self._path)
            if (mark := (facts.st_mtime_ns, facts.st_ino)) == self._mark:
                return
            with open(self._path, encoding="utf-8") as file:
                told = json.load(file)
            self.networks = tuple(ipaddress.ip_network(text, strict=False) for text in told["networks"])
            self.names = frozenset(str(name).lower() for name in told["names"])
            self.sealed, self._mark = bool(told["sealed"]), mark
        except (OSError, ValueError, KeyError, TypeError):
            self.networks, self.names, self.sealed, self._mark = (), frozenset(), True, None

    def allows(self, host: str) -> bool:
        """An address, or a name that leads to one."""
        local = is_this_machine(host)
        if local is None:  # a name
            self.look()
            return not self.sealed or host.lower().rstrip(".") in self.names | _LOCAL_NAMES
        if local:
            return True
        self.look()
        address = as_address(host)
        return not self.sealed or any(address in network for network in self.networks)


def as_address(host: str) -> Any:
    """None for a name. An IPv4 address that is dressed as an IPv6 one is what it means."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def is_this_machine(host: str) -> "bool | None":
    address = as_address(host)
    return None if address is None else bool(address.is_loopback or address.is_unspecified)


class Journal:
    """Appends lines, one a write, so that processes do not mix. The first of a kind at once, more of it added up."""

    def __init__(self, path: str, process: str) -> None:
        self._path, self._process = path, process
        self._lock = threading.RLock()  # a signal's handler may come while it is held
        self._counts: dict[tuple[str, ...], int] = {}
        self._flushed_s = time.monotonic()

    def note(self, verdict: str, what: str, peer: str, modules: "tuple[str, ...]") -> None:
        key = (verdict, what, peer, *modules)
        with self._lock:
            if key not in self._counts:
                if len(self._counts) >= MOST_KEYS:
                    self._flush()
                    self._counts.clear()
                self._counts[key] = 0
                self._write(key, 1)
                return
            self._counts[key] += 1
            if time.monotonic() >= self._flushed_s + FLUSH_S:
                self._flush()

    def close(self) -> None:
        with self._lock:
            self._flush()

    def forked(self) -> None:
        """What the parent has not told yet is the parent's to tell."""
        self._lock, self._counts = threading.RLock(), {}

    def _flush(self) -> None:
        self._flushed_s = time.monotonic()
        for key, count in self._counts.items():
            if count:
                self._counts[key] = 0
                self._write(key, count)

    def _write(self, key: "tuple[str, ...]", count: int) -> None:
        verdict, what, peer, *modules = key
        line = {
            "at_ms": time.time_ns() // 1_000_000,
            "verdict": verdict,
            "what": what,
            "peer": peer[:260],
            "count": count,
            "process": self._process,
            "pid": os.getpid(),
            "modules": modules,
        }
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # a full disk, or a parser's child that may write nothing: refused it is all the same
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
        except OSError:
            pass
        finally:
            os.close(descriptor)


class Guard:
    """The audit hook. `heard` is called for everything that Python does, so what is none of its business goes first."""

    def __init__(self, rules: Rules, journal: Journal) -> None:
        self._rules, self._journal = rules, journal
        self._handlers = {
            "socket.connect": self._connects,
            "socket.sendto": self._connects,
            "socket.sendmsg": self._connects,
            "socket.getaddrinfo": self._looks_up,
            "socket.gethostbyname": self._looks_up,
            "socket.gethostbyaddr": self._looks_back,
            "socket.getnameinfo": self._names,
            "subprocess.Popen": self._starts,
            "os.posix_spawn": self._starts,
            "os.exec": self._starts,
            "os.system": self._runs_a_shell,
        }

    def heard(self, event: str, arguments: "tuple[Any, ...]") -> None:
        handler = self._handlers.get(event)
        if handler is not None:
            handler(arguments)

    def check(self, what: str, host: object, port: object = None) -> None:
        """Raises SealedError for an address or a name that is not of the cluster."""
        if host is None:
            return
        name = _text(host)
        peer = name if port in (None, "", 0) else f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        if not self._rules.allows(name):
            self.refuse(what, peer)
        if what != "looks up" and is_this_machine(name) is False:
            self._journal.note("contacted", what, peer, modules_on_the_stack())

    def refuse(self, what: str, peer: str) -> None:
        modules = modules_on_the_stack()
        self._journal.note("refused", what, peer, modules)
        raise SealedError(
            errno.EACCES,
            f"sealed mode refuses that {modules[0] if modules else 'this process'} {what} {peer}: it is outside the "
            "cluster; `sealed.networks` in cluster.yaml names what else may be reached",
        )

    def _connects(self, arguments: "tuple[Any, ...]") -> None:
        address = arguments[1]
        if isinstance(address, tuple) and len(address) >= 2:  # else a Unix socket's, or none: it was connected before
            self.check("connects to", address[0], address[1])

    def _looks_up(self, arguments: "tuple[Any, ...]") -> None:
        """Of an address nobody asks anybody."""
        host = arguments[0]
        if host is not None and is_this_machine(_text(host)) is None:
            self.check("looks up", host)

    def _looks_back(self, arguments: "tuple[Any, ...]") -> None:
        """The name of an address, which a server elsewhere is asked for unless it is this machine's."""
        host = _text(arguments[0])
        if is_this_machine(host) is False:
            self.refuse("looks up", host)
        self._looks_up(arguments)

    def _names(self, arguments: "tuple[Any, ...]") -> None:
        """Mostly it is only written in digits, which the event does not tell."""
        self.check("looks up", arguments[0][0])

    def _starts(self, arguments: "tuple[Any, ...]") -> None:
        path, words = arguments[0], arguments[1]
        named = [path] if path is not None else []
        if isinstance(words, str | bytes | os.PathLike):
            return self._starts_word(os.fsdecode(words))
        listed = list(words or ())
        if (
            listed
            and os.path.basename(os.fsdecode(path or listed[0])) in ("sh", "bash", "dash", "zsh")
            and "-c" in listed
        ):
            self._starts_word(os.fsdecode(listed[listed.index("-c") + 1]))
        for word in (*named, *listed[:1]):
            self._is_for_the_network(os.fsdecode(word))
        return None

    def _runs_a_shell(self, arguments: "tuple[Any, ...]") -> None:
        self._starts_word(os.fsdecode(arguments[0]))

    def _starts_word(self, command: str) -> None:
        """A shell's line: its first word, and those behind what joins commands."""
        for part in command.replace("&&", ";").replace("|", ";").replace("\n", ";").split(";"):
            words = part.split()
            if words:
                self._is_for_the_network(words[0])

    def _is_for_the_network(self, program: str) -> None:
        name = os.path.basename(program)
        if name in PROGRAMS:
            self._rules.look()
            if self._rules.sealed:
                self.refuse("starts", name)


def _text(host: object) -> str:
    return bytes(host).decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)


def modules_on_the_stack() -> "tuple[str, ...]":
    """Their names, the nearest first, each once."""
    found: dict[str, None] = {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(found) < MOST_MODULES:
        name = str(frame.f_globals.get("__name__", "?"))
        if name not in _OWN and not name.startswith("importlib."):
            found[name] = None
        frame = frame.f_back
    return tuple(found)


def process_name() -> str:
    """The script or module that Python was started with, and behind potluck's own which service: no other word."""
    given: list[str] = getattr(sys, "orig_argv", sys.argv)
    words = iter(given[1:])
    for word in words:
        if word in _OPTIONS_WITH_A_WORD:
            next(words, None)
        elif word == "-m":
            module = next(words, "?")
            service = next((word for word in words if word.replace("-", "").isalpha() and word[0] != "-"), "")
            return f"potluck {service}".strip() if module == "cli.main" else f"python -m {module}"
        elif word == "-c":
            return "python -c"
        elif not word.startswith("-"):
            return os.path.basename(word)
    return "python"


def seal_uvloop(guard: Guard) -> None:
    """uvloop opens connections in C, where no hook hears of them: its own doors are watched instead."""
    import uvloop  # of potluck's own environment

    loop: Any = uvloop.Loop
    connect, datagram, lookup = loop.create_connection, loop.create_datagram_endpoint, loop.getaddrinfo

    async def create_connection(self: Any, protocol: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        guard.check("connects to", host, port)
        return await connect(self, protocol, host, port, **more)

    async def create_datagram_endpoint(self: Any, protocol: Any, *place: Any, **more: Any) -> Any:
        remote = more.get("remote_addr") or (place[1] if len(place) > 1 else None)
        if remote is None:  # it could send to anybody, and nobody would hear of it
            guard.refuse("opens for datagrams", "any address")
        else:
            guard.check("connects to", remote[0], remote[1])
        return await datagram(self, protocol, *place, **more)

    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        guard.check("looks up", host)
        return await lookup(self, host, port, **more)

    loop.create_connection, loop.create_datagram_endpoint = create_connection, create_datagram_endpoint
    loop.getaddrinfo = getaddrinfo


def install(directory: str) -> Guard:
    """From here on until this process ends: an audit hook is never taken away. Once in a process."""
    known: Guard | None = getattr(sys, "_potluck_guard", None)
    if known is not None:
        return known
    journal = Journal(os.path.join(directory, JOURNAL), process_name())
    guard = Guard(Rules(os.path.join(directory, RULES)), journal)
    sys._potluck_guard = guard  # type: ignore[attr-defined]  # a second copy of this file finds it here
    sys.addaudithook(guard.heard)
    journal.note("guarded", "runs", "", ())
    atexit.register(journal.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=journal.forked)
    return guard


def start() -> None:
    """As Python starts. A process that cannot be guarded does not run: an error here would only be printed."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return
    try:
        install(directory)
    except BaseException as error:  # noqa: BLE001
        os.write(2, f"sealed mode: this process cannot be guarded, and ends: {error!r}\n".encode())
        os._exit(78)


if __name__ in ("sitecustomize", "potluck_sealed"):
    start()
