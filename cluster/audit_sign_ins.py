"""Logins at the dashboard as the audit has them: a key by its id, a person sealed under the issuer's name for him."""

from dataclasses import dataclass

from cluster.audit_records import Actor, AuditEvent, Personal


@dataclass(frozen=True, slots=True)
class SignIn:
    """Either `key_id` or `subject` is set. `how`: what proved it. `at_s` is wall time at the gateway."""

    key_id: str
    subject: str
    tenant: str
    role: str
    how: str
    at_s: int


def event_of(one: SignIn) -> AuditEvent:
    actor = Actor("person" if one.subject else "key", one.key_id, one.tenant, one.role)
    personal = Personal(person_subject(one.subject), (("subject", one.subject),)) if one.subject else None
    details = (("how", one.how), ("at_s", one.at_s))
    return AuditEvent("session.begin", "done", actor, "/dashboard/", details=details, personal=personal)


def person_subject(subject: str) -> str:
    """Whom a login is about, as `potluck audit erase` is told it."""
    return f"subject:{subject}"
