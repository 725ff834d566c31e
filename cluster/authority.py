"""The cluster's certificate authority: made at first use below STATE/ca, and the only one that signs identities."""

import contextlib
import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inventory.clock import Clock
from inventory.secret_files import read_secret, write_secret
from nodes.identity import key_fingerprint, key_text
from nodes.peer import PeerRole, peer_host, peer_uri, serial_text

LIFE_S = 7 * 24 * 3600
CA_LIFE_S = 10 * 365 * 24 * 3600
CLOCK_SLACK_S = 300  # a machine whose clock is a little behind accepts a new certificate at once
LOOPBACK = ("localhost", "127.0.0.1")


class BadRequestError(Exception):
    """A certificate signing request that is not one, or not signed by its own key. The join desk refuses it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom a certificate is made. `hosts`: other names and addresses it may be reached by."""

    role: PeerRole
    name: str
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    pem: str
    serial: str
    expires_s: int


class CertificateAuthority:
    """Open with `CertificateAuthority.ensure`."""

    def __init__(self, cluster: str, key: ec.EllipticCurvePrivateKey, certificate_pem: str, clock: Clock) -> None:
        self.cluster, self.certificate_pem = cluster, certificate_pem
        self._key, self._clock = key, clock
        self._issuer = x509.load_pem_x509_certificate(certificate_pem.encode()).subject

    @classmethod
    def ensure(cls, directory: Path, cluster: str, clock: Clock) -> "CertificateAuthority":
        """Read it, or make it once. A cluster keeps the name its authority was made with. Raises ExposedSecretError."""
        key_file, certificate_file = directory / "ca.key", directory / "ca.crt"
        if not certificate_file.exists():  # written last, so it tells that both are there
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            write_secret(key_file, key_text(key))
            write_secret(certificate_file, _self_signed(key, cluster, clock))
        stored = serialization.load_pem_private_key(read_secret(key_file).encode(), password=None)
        assert isinstance(stored, ec.EllipticCurvePrivateKey)
        certificate_pem = read_secret(certificate_file) + "\n"
        return cls(_common_name(certificate_pem), stored, certificate_pem, clock)

    @property
    def fingerprint(self) -> bytes:
        return key_fingerprint(self.certificate_pem)

    def sign(self, request_pem: str, subject: Subject) -> SignedCertificate:
        """Certify the key of a request. Only its key is taken from it. Raises BadRequestError."""
        try:
            request = x509.load_pem_x509_csr(request_pem.encode())
            key = request.public_key()
            signed = request.is_signature_valid
        except (ValueError, InvalidSignature) as error:
            raise BadRequestError(f"not a certificate signing request: {error}") from error
        if not signed or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise BadRequestError("a request must hold a P-256 key and be signed by it")
        now_s = self._clock.wall_s()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(subject.name))
            .issuer_name(self._issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_instant(now_s - CLOCK_SLACK_S))
            .not_valid_after(_instant(now_s + LIFE_S))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_alternatives(self.cluster, subject), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return SignedCertificate(pem, serial_text(certificate.serial_number), int(now_s + LIFE_S))


def _self_signed(key: ec.EllipticCurvePrivateKey, cluster: str, clock: Clock) -> str:
    # Not the common name alone: a machine may be called like its cluster, and would pass for self-signed.
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "potluck certificate authority")
    name, now_s = x509.Name([organisation, *_name(cluster)]), clock.wall_s()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_instant(now_s - CLOCK_SLACK_S))
        .not_valid_after(_instant(now_s + CA_LIFE_S))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_alternatives(cluster, Subject("ca", cluster)), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _alternatives(cluster: str, subject: Subject) -> x509.SubjectAlternativeName:
    hosts = () if subject.role == "ca" else tuple(dict.fromkeys((*LOOPBACK, *subject.hosts)))
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(peer_uri(cluster, subject.role, subject.name)),
        x509.DNSName(peer_host(subject.role, subject.name)),
    ]
    return x509.SubjectAlternativeName([*names, *(_host_name(host) for host in hosts)])


def _host_name(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _common_name(certificate_pem: str) -> str:
    subject = x509.load_pem_x509_certificate(certificate_pem.encode()).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _instant(wall_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(wall_s, tz=datetime.UTC)
