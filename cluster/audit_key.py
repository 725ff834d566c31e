"""The key that signs the audit's checkpoints: made at first use below STATE/secrets, on the head only."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inventory.secret_files import read_secret, write_secret


def ensure_audit_key(path: Path) -> Ed25519PrivateKey:
    """Read it, or make it once. Without it nobody can prove whose log it is. Raises ExposedSecretError."""
    if not path.exists():
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_secret(path, made.decode())
    return read_audit_key(path)


def read_audit_key(path: Path) -> Ed25519PrivateKey:
    """Raises ExposedSecretError, FileNotFoundError."""
    key = serialization.load_pem_private_key(read_secret(path).encode(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key
