import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cluster.authority import LIFE_S, BadRequestError, CertificateAuthority, Subject
from inventory.secret_files import ExposedSecretError
from nodes.identity import IdentityFiles, install, key_fingerprint, new_key, renewal_due, validity_of
from support.manual_clock import ManualClock
from support.tls import TestAuthority

DAY_S = 24 * 3600


def test_the_authority_is_made_once_and_is_private(tmp_path: Path) -> None:
    clock = ManualClock()
    first = CertificateAuthority.ensure(tmp_path / "ca", "home", clock)
    again = CertificateAuthority.ensure(tmp_path / "ca", "another-name", clock)

    assert (again.certificate_pem, again.cluster) == (first.certificate_pem, "home")
    assert again.fingerprint == first.fingerprint == key_fingerprint(first.certificate_pem)
    for file in (tmp_path / "ca").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "ca" / "ca.key").chmod(0o644)
    with pytest.raises(ExposedSecretError):
        CertificateAuthority.ensure(tmp_path / "ca", "home", clock)


def test_a_certificate_lives_seven_days_and_says_role_name_and_addresses(tmp_path: Path) -> None:
    clock = ManualClock()
    authority = CertificateAuthority.ensure(tmp_path, "home", clock)
    signed = authority.sign(new_key("whatever it says").request_pem, Subject("node", "mac", ("192.168.1.7", "mac.lan")))
    certificate = x509.load_pem_x509_certificate(signed.pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert signed.expires_s == clock.wall_s() + LIFE_S == clock.wall_s() + 7 * DAY_S
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["potluck://home/node/mac"]
    assert names.get_values_for_type(x509.DNSName) == ["mac.node.potluck", "localhost", "mac.lan"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "192.168.1.7"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signed.serial == validity_of(signed.pem).serial


def test_renewal_is_due_after_two_thirds_of_a_life(tmp_path: Path) -> None:
    clock = ManualClock()
    files = TestAuthority(tmp_path, clock).identity("node", "mac")
    validity = validity_of(files.certificate.read_text())
    born_s = clock.wall_s()

    assert not renewal_due(validity, born_s)
    assert not renewal_due(validity, born_s + 4.6 * DAY_S)
    assert renewal_due(validity, born_s + 4.7 * DAY_S)
    assert validity.ends_s == born_s + 7 * DAY_S


def test_what_is_no_proper_request_is_refused(tmp_path: Path) -> None:
    authority = CertificateAuthority.ensure(tmp_path, "home", ManualClock())
    good = new_key("mac").request_pem
    rsa_key = rsa.generate_private_key(65537, 2048)
    rsa_request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(rsa_key, hashes.SHA256())
    tampered = x509.load_pem_x509_csr(good.encode()).public_bytes(serialization.Encoding.DER)
    broken = x509.load_der_x509_csr(tampered[:-1] + bytes([tampered[-1] ^ 1]))
    for text in (
        "",
        "hello",
        rsa_request.public_bytes(serialization.Encoding.PEM).decode(),
        broken.public_bytes(serialization.Encoding.PEM).decode(),
    ):
        with pytest.raises(BadRequestError):
            authority.sign(text, Subject("node", "mac"))


def test_identity_files_are_private(tmp_path: Path) -> None:
    files = IdentityFiles.at(tmp_path / "identity", "node")
    before = files.complete
    install(files, "key", "certificate", "ca")

    assert (before, files.complete) == (False, True)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (files.key, files.certificate, files.ca)} == {0o600}
