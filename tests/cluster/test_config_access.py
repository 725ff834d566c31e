import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cluster.access_issuers import login_issuer, token_issuer
from cluster.config_load import load_config, parse_config
from cluster.config_problems import ConfigError

SECRET = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
X = base64.urlsafe_b64encode(SECRET.public_key().public_bytes_raw()).rstrip(b"=").decode()
JWK = {"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "1"}
PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def config_with(folder: Path, key: bytes) -> Path:
    (folder / "issuer.key").write_bytes(key)
    file = folder / "cluster.yaml"
    file.write_text(
        "version: 1\naccess:\n  jwt: {issuer: https://login, audience: potluck, "
        f'public_key: "${{file:{folder}/issuer.key}}"}}\n'
    )
    return file


@pytest.mark.parametrize("key", [SECRET.public_key().public_bytes(*PEM), json.dumps(JWK).encode()])
def test_the_issuers_key_is_read_from_a_file_as_pem_or_jwk(tmp_path: Path, key: bytes) -> None:
    issuer = token_issuer(load_config(config_with(tmp_path, key)).config)

    assert issuer is not None
    assert (issuer.issuer, issuer.audience, issuer.public_key) == ("https://login", "potluck", X)
    assert (issuer.roles, issuer.tenant) == (("user",), "default")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (b"", "is not an Ed25519 public key"),
        (b"hello", "is not an Ed25519 public key"),
        (ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*PEM), "is not an Ed25519 public key"),
        (x25519.X25519PrivateKey.generate().public_key().public_bytes(*PEM), "is not an Ed25519 public key"),
        (SECRET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "is a private key"),
        (json.dumps(JWK | {"d": "a"}).encode(), "is a private JWK"),
        (json.dumps(JWK | {"crv": "X25519"}).encode(), "is a JWK of another kind"),
        (json.dumps(JWK | {"x": "AAAA"}).encode(), "is a JWK of another kind"),
        (b'{"kty": "OKP"}', "is not a JWK"),
        (b"{}", "is not a JWK"),
        (b"{", "is not a JWK"),
    ],
)
def test_what_is_no_public_ed25519_key_is_refused_with_its_line(tmp_path: Path, key: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"access\.jwt\.public_key \(line 3\): {said}"):
        load_config(config_with(tmp_path, key))


def test_without_the_section_no_tokens_are_taken(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("version: 1\n")

    assert token_issuer(load_config(tmp_path / "cluster.yaml").config) is None


OIDC = """version: 1
access:
  oidc:
    issuer: https://login.school/realms/7
    client_id: potluck
    client_secret_file: /etc/potluck/oidc
    address: https://Potluck.school:8443/
    people:
      - {claim: groups, any_of: [staff], role: operator, group: office}
      - {claim: sub, any_of: [anna]}
"""


def test_whoever_logs_in_by_an_issuer_is_who_the_rules_say() -> None:
    login = login_issuer(parse_config(OIDC, "cluster.yaml").config)

    assert login is not None
    assert (login.address, login.lasts_s, login.scopes) == ("https://potluck.school:8443", 28800, ("openid", "profile"))
    assert [(rule.claim, rule.any_of, rule.role, rule.group) for rule in login.people] == [
        ("groups", ("staff",), "operator", "office"),
        ("sub", ("anna",), "display", "default"),
    ]
    assert login_issuer(parse_config("version: 1", "cluster.yaml").config) is None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("https://login.school/realms/7", "http://login.school", "plain HTTP; that is for this machine only"),
        ("https://login.school/realms/7", "https://login.school/?x=1", "more than a host and a path"),
        ("https://login.school/realms/7", "https://a@login.school", "not an address that begins with https"),
        ("https://login.school/realms/7", "ftp://login.school", "not an address that begins with https"),
        ("https://login.school/realms/7", "https://login.school:x", "not an address"),
        ("https://Potluck.school:8443/", "https://potluck.school/dashboard/", "has a path"),
        ("https://Potluck.school:8443/", "http://192.168.1.10:8400", "plain HTTP; that is for this machine only"),
        ("client_id: potluck", "client_id: potluck\n    scopes: [profile]", "must have `openid`"),
        ("client_id: potluck", "client_id: potluck\n    tenant: owner", "of the owner's key only"),
        ("/etc/potluck/oidc", "secret", "client_secret_file"),
        ("role: operator", "role: king", "role"),
        ("any_of: [anna]", "any_of: []", "any_of"),
    ],
)
def test_an_issuer_that_makes_no_sense_is_refused(before: str, after: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(OIDC.replace(before, after), "cluster.yaml")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "http://localhost:9000/x", "http://[::1]:9000"])
def test_on_this_machine_an_issuer_may_speak_plain_http(url: str) -> None:
    login = login_issuer(parse_config(OIDC.replace("https://login.school/realms/7", url), "cluster.yaml").config)

    assert login is not None and login.issuer == url
