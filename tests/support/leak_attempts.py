"""Twelve ways out of a machine, each tried for real by whatever libraries take it: `python -m support.leak_attempts`.

The process that runs this is sealed by what it inherits, as a child of a sealed service is. Nothing here knows of the
guard: whether an attempt was refused, and who was named, stands in the journal.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WAIT_S = 0.5  # where nobody refuses, nobody answers either

CHILD = "import socket; socket.create_connection(('203.0.113.17', 80), 0.5)"
USAGE_REPORT = "import urllib.request; urllib.request.urlopen('https://stats.vllm.invalid/', b'{}', timeout=0.5)"


@dataclass(frozen=True, slots=True)
class Leak:
    """What the journal must say of it: whom it was for, and one module of those that tried."""

    attempt: Callable[[], object]
    peer: str
    module: str


def tcp() -> None:
    socket.create_connection(("203.0.113.11", 80), WAIT_S).close()


def udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"leak", ("203.0.113.12", 53))


def ipv6() -> None:
    socket.create_connection(("2001:db8::13", 443), WAIT_S).close()


def dns() -> None:
    socket.getaddrinfo("a-secret.leaks.invalid", 443)


def proxy_of_the_environment() -> None:
    os.environ["http_proxy"] = "http://203.0.113.14:3128"
    os.environ.pop("no_proxy", None)
    os.environ.pop("NO_PROXY", None)
    try:
        urllib.request.urlopen("http://example.invalid/", timeout=WAIT_S)
    finally:
        del os.environ["http_proxy"]


def asyncio_streams() -> None:
    asyncio.run(_open("203.0.113.15"))


def uvloop_streams() -> None:
    import uvloop

    uvloop.run(_open("203.0.113.16"))


async def _open(host: str) -> None:
    await asyncio.wait_for(asyncio.open_connection(host, 80), WAIT_S)


def both_loops() -> None:
    with contextlib.suppress(OSError, TimeoutError):
        uvloop_streams()
    asyncio_streams()


def another_python() -> None:
    subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True)


def curl() -> None:
    subprocess.run(["curl", "--silent", "--max-time", "1", "http://203.0.113.18/"], check=True)


def rays_question_to_clouds() -> None:
    from ray._common.usage.usage_lib import get_cloud_from_metadata_requests

    get_cloud_from_metadata_requests()


def hub() -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # read when it is imported
        os.environ.pop(name, None)
    from huggingface_hub import HfApi

    HfApi(endpoint="https://hub.invalid").model_info("someone/something", timeout=WAIT_S)


def engines_usage_report() -> None:
    """In an engine's environment, by a Python that is told to look at nothing but it."""
    subprocess.run([os.environ["LEAKS_ENGINE"], "-I", "-c", USAGE_REPORT], check=True, capture_output=True)


def weaviate() -> None:
    asyncio.run(_weaviate())


async def _weaviate() -> None:
    from weaviate import use_async_with_custom
    from weaviate.classes.init import AdditionalConfig, Timeout

    client = use_async_with_custom(
        "203.0.113.19", 8080, False, "203.0.113.19", 50051, False,
        additional_config=AdditionalConfig(timeout=Timeout(init=1, query=1, insert=1)),
        skip_init_checks=True,
    )  # fmt: skip
    try:
        await client.connect()
        await client.get_meta()
    finally:
        await client.close()


LEAKS: Mapping[str, Leak] = {
    "tcp": Leak(tcp, "203.0.113.11:80", __name__),
    "udp": Leak(udp, "203.0.113.12:53", __name__),
    "ipv6": Leak(ipv6, "[2001:db8::13]:443", __name__),
    "dns": Leak(dns, "a-secret.leaks.invalid", __name__),
    "proxy of the environment": Leak(proxy_of_the_environment, "203.0.113.14:3128", "urllib.request"),
    "asyncio, on both loops": Leak(both_loops, "203.0.113.16:80", "asyncio.streams"),
    "another python": Leak(another_python, "203.0.113.17:80", "__main__"),
    "curl": Leak(curl, "curl", "subprocess"),
    "ray's question to clouds": Leak(rays_question_to_clouds, "169.254.169.254:80", "ray._common.usage.usage_lib"),
    "hugging face hub": Leak(hub, "hub.invalid", "huggingface_hub.hf_api"),
    "usage report of an engine": Leak(engines_usage_report, "stats.vllm.invalid", "urllib.request"),
    "weaviate": Leak(weaviate, "203.0.113.19:8080", "anyio._core._sockets"),
}


def main() -> None:
    """Each in turn: what becomes of it is told in a line, and is nobody's error."""
    for name, leak in LEAKS.items():
        try:
            leak.attempt()
        except Exception as error:  # noqa: BLE001  every library has its own for this
            print(f"{name}: {type(error).__name__}: {error}")
        else:
            print(f"{name}: no error")


if __name__ == "__main__":
    main()
