"""A program that writes the audit under load and says, a line each, which records were acknowledged. It is killed."""

import sys
import threading
from pathlib import Path

from cluster.audit_key import ensure_audit_key
from cluster.audit_records import OPERATOR, AuditEvent, Personal
from cluster.audit_store import AuditLimits
from cluster.audit_writer import AuditPlace, AuditTimes, AuditWriter
from inventory.clock import SystemClock

WRITERS = 16


def place(root: Path) -> AuditPlace:
    """Small segments and checkpoints, so that every kill may hit one being made."""
    key = ensure_audit_key(root / "audit.key")
    times = AuditTimes(keep_every_records=50, look_every_s=0.05)
    return AuditPlace(root / "audit.db", root / "subjects.db", key, "box", AuditLimits(segment_records=300), times)


def main(root: Path) -> None:
    writer = AuditWriter(place(root), SystemClock())

    def load(number: int) -> None:
        for count in range(sys.maxsize):
            name = f"{number}.{count}"
            personal = Personal(f"address:{count % 7}", (("address", name),)) if count % 3 == 0 else None
            record = writer.record(AuditEvent("node.label", "done", OPERATOR, name, personal=personal))
            sys.stdout.write(f"{record.sequence} {record.target}\n")  # one write: lines of threads never mix
            sys.stdout.flush()

    for number in range(WRITERS):
        threading.Thread(target=load, args=(number,)).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
