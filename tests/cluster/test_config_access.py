import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cluster.config_load import load_config
from cluster.config_problems import ConfigError
from cluster.service import token_issuer

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
