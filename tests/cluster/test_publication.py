"""Head and gateway are upgraded one after the other: what a head of the version before publishes is understood."""

import msgspec

from cluster.publication import Publication, decode_line, encode_line
from cluster.roles import SCOPES_OF
from cluster.snapshot import AccessSnapshot, KeyRecord, LoginIssuer, PeopleRule, TokenIssuer
from router.access import KeyRing
from support.gateway import KEY, PEPPER, key_record

BEFORE = b"""{"access": {"schema": 1, "epoch": 3, "sequence": 1, "pepper_file": "/pepper", "keys": [{"key_id": "owner1",
"digest_hex": "%b", "role": "user", "tenant": "home", "group": "family", "data_class": "private", "created_s": 1}]}}"""


def test_keys_of_the_version_before_may_do_all_that_their_role_may_with_every_model() -> None:
    line = BEFORE % key_record().digest_hex.encode()
    access = decode_line(line.replace(b"\n", b" ")).access
    assert access is not None

    identity = KeyRing(access, PEPPER.encode()).identify(f"Bearer {KEY}".encode(), None, 0)

    assert (identity.scopes, identity.models, identity.front_end) == (SCOPES_OF["user"], None, False)


def test_what_is_published_comes_back_whole_and_what_is_unknown_is_passed_over() -> None:
    record = KeyRecord("a", "00", "user", "t", "g", "d", 1, 2, "7b", ("inference",), ("toy",), True)
    issuer = TokenIssuer("i", "a", "x", ("user",), "t")
    rules = (PeopleRule("groups", ("staff",), "operator", "office"),)
    login = LoginIssuer("i", "c", "/s", "https://a", "n", ("openid",), rules, ("x",), 1.0, ("https://o",), None, "t")
    said = Publication(access=AccessSnapshot(1, 2, 3, "/pepper", (record,), ("serial",), issuer, login=login))

    newer = msgspec.json.decode(encode_line(said))
    newer["access"]["keys"][0]["favourite_colour"] = "blue"

    assert decode_line(encode_line(said)) == said
    assert decode_line(msgspec.json.encode(newer)) == said
