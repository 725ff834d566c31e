"""Codes as RFC 6238 has them, and whose half minute they are."""

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest

from cluster.totp import STEP_S, address_of, secret_of, step_of

RFC = base64.b32encode(b"12345678901234567890").decode()  # of appendix B, whose codes have two digits more


@pytest.mark.parametrize(
    ("wall_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(wall_s: int, code: str) -> None:
    assert step_of(RFC, code, wall_s) == wall_s // STEP_S


@pytest.mark.parametrize(("later_s", "right"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_code_is_right_in_its_half_minute_and_beside_it(later_s: int, right: bool) -> None:
    now = 1_800_000_000
    code = pyotp.TOTP(RFC).at(now)

    assert step_of(RFC, code, now + later_s) == (now // STEP_S if right else None)


@pytest.mark.parametrize("code", ["", "28708", "2870820", " 287082", "２８７０８２", "287083"])
def test_what_is_not_its_six_digits_is_wrong(code: str) -> None:
    assert step_of(RFC, code, 59) is None


def test_a_secret_follows_from_pepper_and_salt_and_an_app_can_read_it() -> None:
    secret = secret_of(b"pepper", "salt")
    found = urlsplit(address_of(secret, "anna@7b", "home"))

    assert len({secret, secret_of(b"pepper", "other"), secret_of(b"other", "salt")}) == 3
    assert len(base64.b32decode(secret)) == 20
    assert (found.scheme, found.netloc, unquote(found.path)) == ("otpauth", "totp", "/potluck home:anna@7b")
    assert parse_qs(found.query) == {"secret": [secret], "issuer": ["potluck home"]}
