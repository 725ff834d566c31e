"""Certificates of this machine's roles, of its endpoint, and the cluster's authority: whole, matching, and in time."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from cli.checks.finding import Result, fail, ok, warn, word
from cli.checks.situation import Situation
from nodes.identity import IdentityFiles, Validity, validity_of
from nodes.membership import membership_file, read_membership
from nodes.peer import PeerRole

ROLES: tuple[PeerRole, ...] = ("controller", "gateway", "node")
LATE = 1 / 6  # of its life is left, where it is renewed with a third left
AGAIN = "potluck down; potluck up makes another"


def check_certificates(situation: Situation) -> Iterator[Result]:
    """Those that machines show each other, below STATE/identity."""
    yield from _membership(situation)
    for role in ROLES:
        files = IdentityFiles.at(situation.paths.identity, role)
        if files.certificate.exists():
            yield identity(files, role, situation.sources.clock.wall_s(), _name(situation))


def identity(files: IdentityFiles, role: PeerRole, now_s: float, node: str) -> Result:
    """`node` is the name of a machine that has joined."""
    rejoin = f"on the head: potluck nodes rm {node}; potluck token create --node {node}; here: the line it prints"
    anew = rejoin if role == "node" else f"rm {word(files.certificate)}; {AGAIN}"
    trouble = _trouble(files)
    if trouble:
        return fail(f"the certificate of this {role} is of no use: {trouble}", anew)
    validity = validity_of(files.certificate.read_text())
    why = "potluck doctor net says whether the head is reached; logs/node.log why it was not renewed"
    renew = why if role == "node" else f"see logs/head.log for why it was not renewed; {AGAIN}"
    return _in_time(f"the certificate of this {role}", validity, now_s, (rejoin if role == "node" else AGAIN, renew))


def check_authority(situation: Situation) -> Iterator[Result]:
    """On the head: without its key no machine joins, and certificates end within days."""
    place = situation.paths.ca
    key_file, certificate_file = place / "ca.key", place / "ca.crt"
    if not key_file.exists() and not certificate_file.exists():
        return
    restore = (
        f"put {place} back from a backup; without one: potluck down, move it away, and let all machines join again"
    )
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        yield fail(f"the cluster's authority in {place} cannot be read: {_first_line(error)}", restore)
        return
    if key.public_key() != certificate.public_key():
        yield fail(f"{key_file} is not the key of {certificate_file}", restore)
        return
    validity = validity_of(certificate_file.read_text())
    yield _in_time("the cluster's authority", validity, situation.sources.clock.wall_s(), (restore, restore))


def check_https(situation: Situation) -> Iterator[Result]:
    """A certificate of the operator's own for the endpoint on the network."""
    lan = situation.config.gateway.lan if situation.config is not None else None
    if lan is None or lan.certificate is None or lan.key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    put = "put a valid certificate and its key there (gateway.lan in cluster.yaml); potluck down; potluck up"
    try:
        context.load_cert_chain(lan.certificate, lan.key, password=_no_password)
        validity = validity_of(Path(lan.certificate).read_text())
    except (OSError, ValueError) as error:
        told = f"{lan.certificate} with {lan.key} cannot be used: {_first_line(error)}"
        yield fail(told, put)
    else:
        yield _in_time(lan.certificate, validity, situation.sources.clock.wall_s(), (put, put))


def _no_password() -> str:
    """Or the library would ask at the terminal."""
    return ""


def _membership(situation: Situation) -> Iterator[Result]:
    identity_dir = situation.paths.identity
    try:
        read_membership(identity_dir)
    except (OSError, msgspec.MsgspecError) as error:
        told = f"{membership_file(identity_dir)} cannot be read: {_first_line(error)}"
        yield fail(told, "make a token on the head (potluck token create), and potluck join again")


def _name(situation: Situation) -> str:
    return str(situation.membership.node_id) if situation.membership is not None else "NAME"


def _trouble(files: IdentityFiles) -> str:
    """Of its files together, apart from time."""
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
        authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    except FileNotFoundError as error:
        return f"{error.filename} is missing"
    except (OSError, ValueError, TypeError) as error:
        return _first_line(error)
    if key.public_key() != certificate.public_key():
        return f"{files.key} is not its key"
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return f"{files.ca} did not sign it"
    return ""


def _in_time(what: str, validity: Validity, now_s: float, fixes: tuple[str, str]) -> Result:
    """`fixes`: of one that has ended, and of one that ends soon."""
    left_s, life_s = validity.ends_s - now_s, validity.ends_s - validity.begins_s
    if now_s < validity.begins_s:
        fix = "set the clock: sudo timedatectl set-ntp true (macOS: sudo sntp -sS time.apple.com)"
        return fail(f"{what} begins only in {_span(validity.begins_s - now_s)}, by this machine's clock", fix)
    if left_s <= 0:
        return fail(f"{what} ended {_span(-left_s)} ago", fixes[0])
    if left_s < LATE * life_s:
        return warn(f"{what} ends in {_span(left_s)}, and should have been renewed", fixes[1])
    return ok(f"{what} holds for {_span(left_s)}")


def _span(seconds: float) -> str:
    hours = seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} hours" if hours >= 1 else f"{seconds / 60:.0f} minutes"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
