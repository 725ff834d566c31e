"""Access to people's documents as the audit has it: who did what to which space, never a question nor a text. Pure.

Keys stand by their ids. Whatever names a person or a group, who acts or to whom something is granted, is sealed.
"""

from dataclasses import dataclass
from typing import Literal

from cluster.audit_records import AuditEvent, Detail, Outcome, Personal
from cluster.audit_sign_ins import who

DocumentAction = Literal[
    "documents.make",
    "documents.search",
    "documents.look",  # at what there is, not in it: on record where it was refused
    "documents.read",
    "documents.add",
    "documents.change",
    "documents.share",
    "documents.drop",
]
_SEALED = ("user", "group")


@dataclass(frozen=True, slots=True)
class DocumentDeed:
    """`subject`: of a person whom an issuer names, then there is no `key_id`; `user`: whom a front end named. `grant`:
    to whom something was granted, or no more."""

    action: DocumentAction
    outcome: Outcome
    key_id: str
    subject: str
    user: str
    tenant: str
    role: str
    target: str
    request_id: str
    details: tuple[Detail, ...] = ()
    grant: str = ""


def event_of(deed: DocumentDeed) -> AuditEvent:
    """A record has one seal: that of `grant` has whom it is to, and the one before it has who acts."""
    actor, personal = who(deed.key_id, deed.subject, deed.tenant, deed.role)
    if deed.user and personal is None:
        personal = Personal(f"user:{deed.user}", (("user", deed.user),))
    details = deed.details
    if deed.grant.partition(":")[0] in _SEALED:
        personal = Personal(deed.grant, (("grant", deed.grant),))
    elif deed.grant:
        details = (("grant", deed.grant), *details)
    return AuditEvent(deed.action, deed.outcome, actor, deed.target, deed.request_id, details, personal)
