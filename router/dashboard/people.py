"""Who somebody is here of whom an issuer says who he is there: by the operator's rules, and nobody where none holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from cluster.roles import granted
from cluster.snapshot import LoginIssuer, PeopleRule
from router.request import PERSON, Identity

MOST_VALUES = 1024  # of one claim
NAMED_BY = ("preferred_username", "name")
NAME_LIMIT = 64
VERIFIED = "email_verified"


class LoginRefusedError(Exception):
    """Nobody is logged in. `code` is for the page and the audit; the text, which names nobody, for our log."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class _Subject(msgspec.Struct):
    sub: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,255}\Z")]


@dataclass(frozen=True, slots=True)
class Person:
    """What is kept of somebody for as long as a session lasts: of his claims, those that rules ask for."""

    issuer: str
    client_id: str
    subject: str
    name: str
    claims: tuple[tuple[str, tuple[str, ...]], ...]


def person_of(claims: Mapping[str, object], login: LoginIssuer) -> Person | None:
    """None where the subject is none that a record could hold."""
    try:
        subject = msgspec.convert(claims, _Subject).sub
    except msgspec.ValidationError:
        return None
    asked = dict.fromkeys(rule.claim for rule in login.people)
    kept = tuple((claim, tuple(_texts(claims, claim))) for claim in asked)
    return Person(login.issuer, login.client_id, subject, _name(claims) or subject, kept)


def identity_of(person: Person, login: LoginIssuer | None) -> Identity | None:
    """By the rules as they are now. None: he is not let in, or not any more."""
    if login is None or (person.issuer, person.client_id) != (login.issuer, login.client_id):
        return None
    rule = None if person.subject in login.refused else _rule_for(person, login.people)
    if rule is None:
        return None
    return Identity(
        key_id=f"{PERSON}{person.subject}",
        tenant=login.tenant,
        group=rule.group,
        role=rule.role,
        data_class="private",
        scopes=granted(rule.role, None),
        user=person.subject,
    )


def _rule_for(person: Person, rules: Sequence[PeopleRule]) -> PeopleRule | None:
    said = dict(person.claims)
    return next((rule for rule in rules if not set(said.get(rule.claim, ())).isdisjoint(rule.any_of)), None)


def _texts(claims: Mapping[str, object], name: str) -> Iterator[str]:
    """What a claim says, as text. Anybody can write an address into his profile: one that was not verified says
    nothing."""
    if name == "email" and claims.get(VERIFIED) is not True:
        return
    found = _found(claims, name)
    for value in found[:MOST_VALUES] if isinstance(found, list) else [found]:
        if isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, str | int):
            yield str(value)


def _found(claims: Mapping[str, object], name: str) -> object:
    """By its whole name, which may be an address with dots; else along the dots."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _name(claims: Mapping[str, object]) -> str:
    texts = (text for name in NAMED_BY if isinstance(text := claims.get(name), str))
    return next(("".join(c for c in text if c.isprintable())[:NAME_LIMIT] for text in texts if text.strip()), "")
