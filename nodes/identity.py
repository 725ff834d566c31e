"""A machine's own identity: its key, made here and never sent, its certificate, and the CA it trusts.

Everything lies in STATE/identity, mode 0600, one pair of files for each role that the machine has.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inventory.secret_files import write_secret
from nodes.peer import PeerRole, serial_text

RENEW_AFTER = 2 / 3  # of a certificate's life


@dataclass(frozen=True, slots=True)
class IdentityFiles:
    key: Path
    certificate: Path
    ca: Path

    @classmethod
    def at(cls, directory: Path, role: PeerRole) -> "IdentityFiles":
        return cls(directory / f"{role}.key", directory / f"{role}.crt", directory / "ca.crt")

    @property
    def complete(self) -> bool:
        return self.key.exists() and self.certificate.exists() and self.ca.exists()


@dataclass(frozen=True, slots=True)
class Validity:
    """When a certificate holds, as wall time."""

    serial: str
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, and the request to have it certified. Name and role are the signer's to decide."""

    key_pem: str
    request_pem: str


def new_key(common_name: str) -> NewKey:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return NewKey(key_text(key), request.public_bytes(serialization.Encoding.PEM).decode())


def key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def install(files: IdentityFiles, key_pem: str, certificate_pem: str, ca_pem: str) -> None:
    """Certificate last: whoever looks in between finds an identity that is not complete, or the former one.

    A renewal brings a key too. Between the two replacements a reader may find them not to match; it reads again.
    """
    files.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_secret(files.ca, ca_pem)
    write_secret(files.key, key_pem)
    write_secret(files.certificate, certificate_pem)


def validity_of(certificate_pem: str) -> Validity:
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    return Validity(
        serial_text(certificate.serial_number),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def certificate_ends_s(files: IdentityFiles) -> float | None:
    """Wall time at which this identity ends; None of one that is not there, or cannot be read."""
    try:
        return validity_of(files.certificate.read_text()).ends_s
    except (OSError, ValueError):
        return None


def hosts_of(certificate_pem: str) -> frozenset[str]:
    """Every host name and address that a certificate is good for."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return frozenset((*names.get_values_for_type(x509.DNSName), *addresses))


def renewal_due(validity: Validity, now_s: float) -> bool:
    """Early enough that a head which is away for days is no danger."""
    return now_s >= validity.begins_s + RENEW_AFTER * (validity.ends_s - validity.begins_s)


def key_fingerprint(certificate_pem: str) -> bytes:
    """SHA-256 of the public key (SPKI): what a join token pins. It outlives a renewal of the certificate."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    public = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(public).digest()
