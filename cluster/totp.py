"""Second factors of keys (RFC 6238): six digits that an authenticator app shows for half a minute.

A secret is stored nowhere. It follows from the pepper and from what was drawn by chance when the factor was turned on,
so the registry alone gives nobody a code.
"""

import base64
import hashlib
import hmac

import pyotp

STEP_S = 30
BEFORE_AND_AFTER = 1  # steps: an app's clock may be off by so much, and a person takes a while to type
SECRET_BYTES = 20


def secret_of(pepper: bytes, salt: str) -> str:
    """In base32, as apps take it."""
    digest = hmac.digest(pepper, b"second factor of " + salt.encode(), hashlib.sha256)
    return base64.b32encode(digest[:SECRET_BYTES]).decode()


def address_of(secret: str, name: str, cluster: str) -> str:
    """`otpauth://…`, which apps read from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=f"potluck {cluster}")


def step_of(secret: str, code: str, wall_s: float) -> int | None:
    """The half minute whose code this is, now or beside it; None of a wrong one. All are compared, in the same time."""
    now, found, totp = int(wall_s // STEP_S), None, pyotp.TOTP(secret)
    for step in range(now - BEFORE_AND_AFTER, now + BEFORE_AND_AFTER + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            found = step
    return found
