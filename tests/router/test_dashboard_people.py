"""Who somebody is here, by what an issuer says of him: the first rule that holds, and nobody where none does."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.roles import SCOPES_OF
from cluster.snapshot import LoginIssuer, PeopleRule
from router.dashboard.people import identity_of, person_of
from router.request import Identity

ADMINS, STAFF = PeopleRule("realm_access.roles", ("admins",), "admin", "it"), PeopleRule("email", ("a@x",), "user", "y")
URN = PeopleRule("https://x.example/groups", ("7",), "operator", "urn")


def issuer(*rules: PeopleRule, refused: tuple[str, ...] = ()) -> LoginIssuer:
    return LoginIssuer(
        "https://login",
        "potluck",
        None,
        "https://here",
        "School",
        ("openid",),
        rules,
        refused,
        60.0,
        (),
        None,
        "school",
    )


def who(claims: Mapping[str, object], login: LoginIssuer) -> Identity | None:
    person = person_of(claims, login)
    return None if person is None else identity_of(person, login)


def test_the_first_rule_that_holds_gives_role_group_and_the_roles_scopes() -> None:
    claims = {"sub": "anna", "realm_access": {"roles": ["x", "admins"]}, "email": "a@x", "email_verified": True}
    found = who(claims, issuer(ADMINS, STAFF))

    assert found is not None
    assert (found.key_id, found.user, found.tenant) == ("oidc:anna", "anna", "school")
    assert (found.role, found.group, found.scopes, found.front_end) == ("admin", "it", SCOPES_OF["admin"], False)


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_is_not_verified_is_nobodys(verified: object) -> None:
    assert who({"sub": "anna", "email": "a@x", "email_verified": verified}, issuer(STAFF)) is None
    assert who({"sub": "anna", "email": "a@x", "email_verified": True}, issuer(STAFF)) is not None


@pytest.mark.parametrize("value", [7, "7", ["7"], [None, {}, 7]])
def test_a_claim_may_be_named_by_an_address_and_be_a_number_or_a_list(value: object) -> None:
    assert who({"sub": "anna", URN.claim: value}, issuer(URN)) is not None


@pytest.mark.parametrize("value", [None, {}, {"7": True}, [["7"]], "77", 7.0, True, ""])
def test_what_is_not_the_rules_own_word_is_none(value: object) -> None:
    assert who({"sub": "anna", URN.claim: value}, issuer(URN)) is None


def test_a_subject_that_is_refused_is_out_whatever_rules_say() -> None:
    rule = PeopleRule("sub", ("anna",), "display", "hall")

    assert who({"sub": "anna"}, issuer(rule)) is not None
    assert who({"sub": "anna"}, issuer(rule, refused=("anna",))) is None


def test_names_are_short_and_can_be_shown() -> None:
    rule = PeopleRule("sub", ("anna",), "display", "hall")
    names = ("\x1b[31mAnna" + "a" * 100, 7, " ", None)
    people = [person_of({"sub": "anna", "preferred_username": name}, issuer(rule)) for name in names]

    assert [None if one is None else one.name for one in people] == ["[31mAnna" + "a" * 56, "anna", "anna", "anna"]


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["sub", "name", "email", "realm_access"]), _json))
def test_no_claims_are_more_than_nobody_unless_a_rule_says_so(claims: dict[str, object]) -> None:
    assert who(claims, issuer(ADMINS, STAFF)) is None
