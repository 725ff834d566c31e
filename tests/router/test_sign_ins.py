"""Logins on their way to the audit: none is lost while the head is away, and who it was can be forgotten."""

from contextlib import closing
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient
from cluster.audit_reading import AuditReader
from cluster.audit_records import decode
from cluster.audit_sign_ins import SignIn
from cluster.audit_subjects import SubjectKeys
from cluster.service import HeadSettings
from inventory.paths import StatePaths
from router.errors import ApiError
from router.log import StructuredLog
from router.sign_ins import MOST_UNTOLD, SignInNotes, SignInReporter
from support.heads import running_head

ANNA = SignIn("", "anna", "school", "operator", "oidc", 1_800_000_000)
KEY = SignIn("ab12", "", "home", "display", "key", 1_800_000_001)


async def test_the_head_hears_of_every_login_also_of_those_while_it_was_away(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "head").ensure()
    notes, head = SignInNotes(), AdminClient(paths.head_socket)
    reporter = SignInReporter(head, notes, StructuredLog())
    notes.note(ANNA)
    await reporter.tell()
    for _ in range(70):
        notes.note(KEY)
    async with running_head(HeadSettings(paths)):
        await reporter.tell()
        await reporter.tell()
        with closing(AuditReader.open(paths.audit_db)) as reader:
            records = [decode(link.body) for link in reader.links()][1:]
        with closing(SubjectKeys.open(paths.audit_subjects_db)) as subjects:
            named = subjects.unseal(records[0])
        await head.erase_subject("subject:anna")
        with closing(SubjectKeys.open(paths.audit_subjects_db)) as subjects:
            forgotten = subjects.unseal(records[0])

    first, second = records[:2]
    who = first.actor
    assert len(records) == 71
    assert (first.action, first.outcome, first.target) == ("session.begin", "done", "/dashboard/")
    assert (who.kind, who.name, who.tenant, who.role) == ("person", "", "school", "operator")
    assert first.details == (("how", "oidc"), ("at_s", 1_800_000_000))
    assert (named, forgotten) == ((("subject", "anna"),), (("subject", "erased"),))
    assert (second.actor.kind, second.actor.name, second.sealed) == ("key", "ab12", None)
    assert not any("anna" in link for link in map(repr, records))


def test_nobody_is_let_in_whose_login_could_be_lost() -> None:
    notes = SignInNotes()
    for _ in range(MOST_UNTOLD):
        notes.note(KEY)
    with pytest.raises(ApiError) as caught:
        notes.note(ANNA)
    notes.told(1)
    notes.note(ANNA)

    assert (caught.value.status, caught.value.code) == (503, "audit_unavailable")
