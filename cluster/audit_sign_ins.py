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
    actor, personal = who(one.key_id, one.subject, one.tenant, one.role)
    details = (("how", one.how), ("at_s", one.at_s))
    return AuditEvent("session.begin", "done", actor, "/dashboard/", details=details, personal=personal)


def who(key_id: str, subject: str, tenant: str, role: str) -> tuple[Actor, Personal | None]:
    """A key by its id; or where there is a `subject`, a person under the seal that `potluck audit erase` breaks."""
    if not subject:
        return Actor("key", key_id, tenant, role), None
    return Actor("person", key_id, tenant, role), Personal(f"subject:{subject}", (("subject", subject),))
