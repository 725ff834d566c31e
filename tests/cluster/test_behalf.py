"""For whom a gateway acts, as the head puts it on record."""

import pytest

from cluster.audit_records import OPERATOR, Actor
from cluster.behalf import HEADER, BadBehalfError, Behalf, actor_of
from router.dashboard.head import behalf_of
from router.request import PERSON, TOKEN_HOLDER, Identity


def told(identity: Identity) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in behalf_of(identity).header().items()}


def identity(key_id: str) -> Identity:
    return Identity(key_id, "school", "staff", "operator", "private", frozenset())


def test_a_key_acts_in_its_own_name() -> None:
    assert actor_of(told(identity("k1"))) == (Actor("key", "k1", "school", "operator"), None)


@pytest.mark.parametrize("kind", [PERSON, TOKEN_HOLDER])
def test_whoever_an_issuer_names_acts_as_a_person_under_the_same_seal_as_his_logins(kind: str) -> None:
    actor, sealed = actor_of(told(identity(f"{kind}anna")))

    assert actor == Actor("person", "", "school", "operator")
    assert sealed is not None
    assert (sealed.subject, sealed.fields) == ("subject:anna", (("subject", "anna"),))


def test_whoever_can_open_the_socket_is_the_operator_and_nonsense_is_nobody() -> None:
    assert actor_of({}) == (OPERATOR, None)
    with pytest.raises(BadBehalfError):
        actor_of({HEADER.encode(): b'{"role": 3}'})
    assert Behalf("k", "t", "r").header()[HEADER].startswith("{")
