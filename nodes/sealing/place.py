"""Where sealed mode lies on a machine, and how a process becomes sealed: environment first, then the guard."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

import msgspec
import psutil

from inventory.offline import sealed_environment
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.sealing import guard

START_FILE = "sitecustomize.py"  # Python runs a file of this name, wherever PYTHONPATH leads to it, as it starts
ENGINE_FILE, ENGINE_STARTER = "potluck_sealed.py", "potluck_sealed.pth"  # what Python runs even when told to be alone


@dataclass(frozen=True, slots=True)
class SealedRules:
    """What a sealed machine may reach beside itself. `names` are looked up; everything else needs an address."""

    sealed: bool
    networks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def allows(self, address: str) -> bool:
        """Whether a connection to this address is the cluster's own business."""
        if guard.is_this_machine(address):
            return True
        parsed = guard.as_address(address)
        return parsed is not None and any(parsed in ip_network(text, strict=False) for text in self.networks)


def rules_file(paths: StatePaths) -> Path:
    return paths.sealed / guard.RULES


def read_rules(paths: StatePaths) -> SealedRules | None:
    """None where nobody ever sealed this machine, or the file is damaged."""
    try:
        return msgspec.json.decode(rules_file(paths).read_bytes(), type=SealedRules)
    except (OSError, msgspec.MsgspecError):
        return None


def is_sealed(paths: StatePaths) -> bool:
    rules = read_rules(paths)
    return rules is not None and rules.sealed


def note_asked(paths: StatePaths, asked: bool) -> None:
    """Whether this machine's own operator wants it sealed."""
    if asked:
        paths.sealed.mkdir(mode=0o700, parents=True, exist_ok=True)
        _asked_file(paths).touch(mode=0o600)
    else:
        _asked_file(paths).unlink(missing_ok=True)


def asked_here(paths: StatePaths) -> bool:
    return _asked_file(paths).exists()


def _asked_file(paths: StatePaths) -> Path:
    return paths.sealed / "asked"


def write_rules(paths: StatePaths, rules: SealedRules) -> bool:
    """Every sealed process of this machine follows at its next connection. True when something changed."""
    if read_rules(paths) == rules:
        return False
    paths.sealed.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_secret(rules_file(paths), msgspec.json.encode(rules).decode())
    return True


def rules_for(networks: tuple[str, ...], hosts: tuple[str, ...]) -> SealedRules:
    """Sealed: these networks, this machine's own addresses, and hosts of the cluster, by address or name."""
    addresses = {*own_addresses()}
    names = set(_own_names())
    for host in hosts:
        if guard.as_address(host) is None:
            names.add(host.lower())
        addresses.update(_addresses_of(host))
    single = {str(ip_network(address)) for address in addresses}
    return SealedRules(True, tuple(sorted({*networks, *single})), tuple(sorted(names)))


def own_addresses() -> tuple[str, ...]:
    """Of every network that this machine is on."""
    found = set()
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            with suppress(ValueError):
                found.add(str(ip_address(entry.address.partition("%")[0])))
    return tuple(sorted(found))


def _own_names() -> tuple[str, ...]:
    """This machine's name, where its own file knows it: looked up elsewhere, it would be told to a stranger."""
    name = socket.gethostname().lower()
    with suppress(OSError):
        for line in Path("/etc/hosts").read_text(errors="replace").splitlines():
            if name in line.partition("#")[0].lower().split()[1:]:
                return (name,)
    return ()


def _addresses_of(host: str) -> set[str]:
    with suppress(ValueError):
        return {str(ip_address(host.partition("%")[0]))}
    with suppress(OSError):  # a name that leads nowhere now is looked up again when it is next told
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return set()


def seal_this_process(paths: StatePaths) -> guard.Guard:
    """From here on, for this process and every Python process that it starts. Raises OSError."""
    paths.sealed.mkdir(mode=0o700, parents=True, exist_ok=True)
    starting = paths.sealed / "python"
    starting.mkdir(mode=0o700, exist_ok=True)
    _put(starting / START_FILE, guard_text())
    environment = sealed_environment(os.environ)
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    places = [str(starting), *(place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place)]
    os.environ.update(environment)
    os.environ[guard.DIRECTORY] = str(paths.sealed)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(places))
    installed = guard.install(str(paths.sealed))
    with suppress(ImportError):
        guard.seal_uvloop(installed)
    return installed


def sealed_variables() -> tuple[tuple[str, str], ...]:
    """What a process needs to be told, where it inherits nothing: empty unless this one is sealed."""
    directory = os.environ.get(guard.DIRECTORY)
    return ((guard.DIRECTORY, directory),) if directory else ()


def guard_engine(python: str) -> None:
    """Have every Python process of this engine's environment look for the guard as it starts. Does nothing unless this
    process is sealed. Raises OSError where it cannot be had, and then nothing may be started there."""
    if not sealed_variables():
        return
    libraries = sorted(Path(python).parents[1].glob("lib/python3.*/site-packages"))
    if not libraries:
        raise FileNotFoundError(f"{python} has no site-packages beside it")
    for place in libraries:
        _put(place / ENGINE_FILE, guard_text())
        _put(place / ENGINE_STARTER, "import potluck_sealed\n")


def guard_text() -> str:
    return Path(guard.__file__).read_text(encoding="utf-8")


def _put(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_secret(path, text)
