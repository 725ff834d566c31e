"""TLS between machines: version 1.3 only, trust in the cluster's CA only, certificates from STATE/identity."""

import ssl
from typing import Literal

from inventory.secret_files import read_secret
from nodes.identity import IdentityFiles

Clients = Literal["must_prove", "may_prove"]
"""must_prove: a client without a certificate of the cluster does not get through the handshake. may_prove: it does,
and has no identity; only the join listener is of that kind."""


def server_context(files: IdentityFiles, clients: Clients) -> ssl.SSLContext:
    """Raises OSError, ExposedSecretError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a resumed session would not show its certificate to a deny list that grew since
    context.verify_mode = ssl.CERT_REQUIRED if clients == "must_prove" else ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=read_secret(files.ca))
    load_identity(context, files)
    return context


def client_context(files: IdentityFiles) -> ssl.SSLContext:
    """Shows this machine's certificate, and trusts the cluster's CA alone. Raises OSError, ExposedSecretError."""
    context = trusting(read_secret(files.ca))
    load_identity(context, files)
    return context


def trusting(ca_pem: str) -> ssl.SSLContext:
    """A client without a certificate of its own yet, that trusts this CA alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=ca_pem)
    return context


def load_identity(context: ssl.SSLContext, files: IdentityFiles) -> None:
    """Also for a context in use, after a renewal: new connections show the new certificate, old ones live on."""
    read_secret(files.key)  # refuses a key that others can read
    context.load_cert_chain(files.certificate, files.key)


class ReloadingContext:
    """A client's context that follows its files: another process of this machine renews them."""

    def __init__(self, files: IdentityFiles) -> None:
        self._files = files
        self._context: ssl.SSLContext | None = None
        self._loaded_ns = 0

    def current(self) -> ssl.SSLContext:
        """Raises OSError (there is no identity yet) or ExposedSecretError."""
        written_ns = self._files.certificate.stat().st_mtime_ns
        if self._context is None:
            self._context = client_context(self._files)
        elif written_ns != self._loaded_ns:
            load_identity(self._context, self._files)
        self._loaded_ns = written_ns
        return self._context
