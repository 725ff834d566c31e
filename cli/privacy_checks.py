"""What `potluck privacy prove` reads: the audit beside the head, verified first, by the copies of members too."""

from dataclasses import dataclass

from cli.audit_checks import Checked, verify_log
from cluster.audit_records import decode
from cluster.audit_shown import opened_audit
from cluster.privacy_proof import Proof, ProofQuestion, prove
from inventory.paths import StatePaths


@dataclass(frozen=True, slots=True)
class Proved:
    """What the records say, and whether they are as they were written."""

    proof: Proof
    checked: Checked

    @property
    def covered(self) -> bool:
        """Records of the whole time are there: none of it has expired."""
        first = self.checked.verdict.first
        return first == 1 or (self.proof.since_ms is not None and self.proof.since_ms <= self.proof.question.from_ms)

    @property
    def holds(self) -> bool:
        whole = self.checked.verdict.finding is None and not self.proof.unread
        return whole and self.covered and not self.proof.outside


def proved(paths: StatePaths, question: ProofQuestion) -> Proved:
    """Raises AuditDamagedError, NoAuditError."""
    checked = verify_log(paths, None)
    with opened_audit(paths) as reader:
        last = checked.verdict.last  # what came after it is not verified
        return Proved(prove(question, (decode(link.body) for link in reader.links(0, last))), checked)
