"""What a stranger on the LAN learns of a port: a program that tries a TLS handshake without and with a certificate.

Arguments: HOST PORT..., then optionally --certificate FILE --key FILE (PEM). One line for each port: "refused" and
how, or "ANSWERED" where it let a stranger say or hear a single byte.
"""

import argparse
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

TIMEOUT_S = 5.0
# One that speaks HTTP of any version, with TLS or without, has an answer to these.
GREETINGS = (b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")


def try_port(host: str, port: int, proof: tuple[str, str] | None) -> str:
    for greeting in GREETINGS:
        for secure in (True, False):
            try:
                heard = _exchange(host, port, proof, greeting, secure)
            except OSError as error:
                said = f"{type(error).__name__} {error}"
                continue
            if heard:
                return f"{port} ANSWERED {heard[:60]!r} {'in TLS' if secure else 'in clear'}"
            said = "closed"
    return f"{port} refused: {said}"


def _exchange(host: str, port: int, proof: tuple[str, str] | None, greeting: bytes, secure: bool) -> bytes:
    """The first bytes that come back. A server of TLS answers clear text by an alert, which is a refusal."""
    with socket.create_connection((host, port), TIMEOUT_S) as plain:
        if not secure:
            plain.sendall(greeting)
            heard = plain.recv(64)
            return b"" if heard.startswith(b"\x15\x03") else heard
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        if proof is not None:
            context.load_cert_chain(*proof)
        with context.wrap_socket(plain) as wrapped:
            wrapped.sendall(greeting)
            return wrapped.recv(64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("ports", nargs="+", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    asked = parser.parse_args()
    identity = (asked.certificate, asked.key) if asked.certificate else None
    with ThreadPoolExecutor(8) as pool:
        for line in pool.map(lambda port: try_port(asked.host, port, identity), asked.ports):
            print(line)
