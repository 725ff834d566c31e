"""JWTs of an issuer of one's own. Tokens are made here byte by byte, as an attacker would make them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from cluster.roles import Role
from cluster.snapshot import AccessSnapshot, TokenIssuer
from router.access import KeyRing
from router.bearer_tokens import SKEW_S, TokenVerifier
from router.errors import ApiError
from router.request import Identity
from support.gateway import KEY, PEPPER, key_record

NOW_S = 1000.0
SECRET = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = SECRET.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
CLAIMS: Mapping[str, object] = {"iss": "https://login.school", "aud": "potluck", "sub": "anna", "exp": 1300}
HEADER: Mapping[str, object] = {"alg": "EdDSA", "typ": "JWT"}


def part(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def token(claims: object = CLAIMS, header: object = HEADER, secret: Ed25519PrivateKey = SECRET) -> bytes:
    signed = part(header) + b"." + part(claims)
    return signed + b"." + part(secret.sign(signed))


def issuer(*roles: Role) -> TokenIssuer:
    return TokenIssuer("https://login.school", "potluck", part(PUBLIC).decode(), roles or ("user",), "school")


def ring(*roles: Role) -> KeyRing:
    access = AccessSnapshot(1, 1, 1, "unused", (key_record(),), issuer=issuer(*roles))
    return KeyRing(access, PEPPER.encode(), TokenVerifier(issuer(*roles)))


def who(presented: bytes, *roles: Role, wall_s: float = NOW_S) -> Identity:
    return ring(*roles).identify(b"Bearer " + presented, None, wall_s)


def refusal(presented: bytes, *roles: Role, wall_s: float = NOW_S) -> ApiError:
    with pytest.raises(ApiError) as caught:
        who(presented, *roles, wall_s=wall_s)
    assert caught.value.status == 401
    return caught.value


def test_a_token_says_who_asks_and_what_for() -> None:
    plain = who(token())
    full = who(token({**CLAIMS, "role": "display", "group": "7b", "models": ["toy"], "email": "x"}), "user", "display")

    assert (plain.key_id, plain.user, plain.tenant) == ("jwt:anna", "anna", "school")
    assert (plain.group, plain.role, plain.models) == ("default", "user", None)
    assert plain.scopes == {"inference", "models.read"}
    assert (full.role, full.group, full.models, full.front_end) == ("display", "7b", ("toy",), False)


@pytest.mark.parametrize("name", ["exp", "iss", "aud", "sub"])
def test_each_of_the_four_claims_is_required(name: str) -> None:
    assert "is missing" in refusal(token({key: value for key, value in CLAIMS.items() if key != name})).message


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"iss": "https://evil"}, "another issuer"),
        ({"iss": ["https://login.school"]}, "another issuer"),
        ({"aud": "other"}, "another audience"),
        ({"aud": ""}, "is missing"),
        ({"sub": ""}, "makes no sense"),
        ({"sub": "a b"}, "makes no sense"),
        ({"sub": "a\n"}, "makes no sense"),
        ({"sub": 7}, "no JWT"),
        ({"exp": "1300"}, "makes no sense"),
        ({"exp": None}, "is missing"),
        ({"exp": True}, "makes no sense"),
        ({"exp": float("nan")}, "makes no sense"),
        ({"exp": float("inf")}, "makes no sense"),
        ({"nbf": float("nan")}, "makes no sense"),
        ({"nbf": 1061}, "not valid yet"),
        ({"role": "admin"}, "not one that this cluster takes"),
        ({"role": "king"}, "makes no sense"),
        ({"group": "7b\r\nx: y"}, "makes no sense"),
        ({"models": "toy"}, "makes no sense"),
    ],
)
def test_a_claim_that_is_wrong_is_named(changed: Mapping[str, object], said: str) -> None:
    assert said in refusal(token({**CLAIMS, **changed})).message


def test_a_list_of_audiences_may_hold_ours() -> None:
    assert who(token({**CLAIMS, "aud": ["other", "potluck"]})).user == "anna"


def test_time_is_the_gateways_with_a_minute_of_grace_and_looked_at_every_time() -> None:
    keys, header = ring(), b"Bearer " + token()

    keys.identify(header, None, 1300 + SKEW_S - 0.1)
    with pytest.raises(ApiError) as caught:
        keys.identify(header, None, 1300 + SKEW_S)
    assert caught.value.code == "expired_api_key"
    assert who(token({**CLAIMS, "nbf": 1060})).user == "anna"


def test_another_key_or_another_algorithm_is_not_the_issuers() -> None:
    signed = part({"alg": "HS256"}) + b"." + part(dict(CLAIMS))
    forged = [signed + b"." + part(hmac.new(key, signed, hashlib.sha256).digest()) for key in (PUBLIC, part(PUBLIC))]
    unsigned = part({"alg": "none"}) + b"." + part(dict(CLAIMS)) + b"."
    stranger = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
    own = {"kty": "OKP", "crv": "Ed25519", "x": part(stranger.public_key().public_bytes_raw()).decode()}
    pointing = {"jwk": own, "jku": "https://evil/keys", "x5u": "https://evil/c", "kid": "1"}

    for presented in (*forged, unsigned):
        assert refusal(presented).message.endswith("its algorithm is not EdDSA")
    assert refusal(token(header={**HEADER, **pointing}, secret=stranger)).message.endswith("not the issuer's")
    assert who(token(header={**HEADER, "kid": "7", "jku": "https://nowhere"})).user == "anna"
    assert refusal(token()[:-4] + b"AAAA").message.endswith("not the issuer's")


def test_a_critical_extension_that_nobody_here_knows_is_refused() -> None:
    refusal(token(header={**HEADER, "crit": ["x"], "x": 1}))
    refusal(token(header={**HEADER, "crit": ["b64"], "b64": False}))


def test_a_cluster_without_an_issuer_takes_no_token_and_keys_work_beside_one() -> None:
    without = KeyRing(AccessSnapshot(1, 1, 1, "unused", (key_record(),)), PEPPER.encode())
    with pytest.raises(ApiError) as caught:
        without.identify(b"Bearer " + token(), None, NOW_S)

    assert caught.value.code == "invalid_api_key"
    assert who(KEY.encode()).key_id == "owner1"


@given(st.one_of(st.binary(max_size=200), st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(b".".join)))
def test_no_bytes_are_more_than_a_401(presented: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        who(presented)
    assert caught.value.status == 401


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "role", "group", "models", "iat", "jti"]), _json))
def test_no_claims_that_are_signed_are_more_than_a_401_or_a_user(changed: dict[str, object]) -> None:
    try:
        found = who(token({**CLAIMS, **changed}))
    except ApiError as error:
        assert error.status == 401
    else:
        assert (found.role, found.tenant, found.front_end) == ("user", "school", False)


@given(_json, _json)
def test_no_header_is_more_than_a_401(header: object, claims: object) -> None:
    refusal(token(claims, header))
