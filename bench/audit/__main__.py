"""`python -m bench.audit`: the head's own writer, fsync and all, with 1 to 1024 callers that wait for their records."""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.relay.machine import ForeignLoad
from cluster.audit_key import ensure_audit_key
from cluster.audit_reading import AuditReader
from cluster.audit_records import Actor, AuditEvent, Personal
from cluster.audit_verify import verify
from cluster.audit_writer import AuditPlace, AuditWriter
from inventory.clock import SystemClock

CALLERS = (1, 8, 64, 256, 1024)
RESULT_CALLERS = 256
ACTOR = Actor("key", "0123456789", "school", "user")
PERSONAL = Personal("address:192.168.1.10", (("address", "192.168.1.10"),))


@dataclass(frozen=True, slots=True)
class Run:
    """Of one number of callers: the median round."""

    callers: int
    per_s: float
    waited_s: float  # by a caller for one record, in the middle of them


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over these (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that all works, measures little")
    parser.add_argument("--dir", type=Path, help="on which disk (default: where temporary files go)")
    return parser.parse_args()


async def load(writer: AuditWriter, callers: int, seconds: float) -> Run:
    """Each caller tells the next record when its last is on the disk. Every tenth holds a sealed address."""
    waits: list[float] = []
    end_s = time.monotonic() + seconds

    async def call(caller: int) -> None:
        count = 0
        while time.monotonic() < end_s:
            personal = PERSONAL if count % 10 == 0 else None
            event = AuditEvent(
                "endpoint.refuse", "done", ACTOR, "gemma3", f"op_{caller}_{count}", (("n", count),), personal
            )
            began_s = time.monotonic()
            await writer.write(event)
            waits.append(time.monotonic() - began_s)
            count += 1

    began_s = time.monotonic()
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    return Run(callers, len(waits) / (time.monotonic() - began_s), sorted(waits)[len(waits) // 2])


def measured(place: AuditPlace, callers: int, options: argparse.Namespace) -> Run:
    writer = AuditWriter(place, SystemClock())
    try:
        runs = [asyncio.run(load(writer, callers, options.seconds)) for _ in range(options.rounds)]
    finally:
        writer.close()
    return sorted(runs, key=lambda run: run.per_s)[len(runs) // 2]


def verified_per_s(place: AuditPlace) -> float:
    """And every record is there, in its place."""
    with closing(AuditReader.open(place.database)) as reader:
        began_s = time.monotonic()
        verdict = verify(reader.evidence(), reader.links(), place.key.public_key())
    assert verdict.finding is None, verdict.finding
    return verdict.records / (time.monotonic() - began_s)


def main() -> int:
    options = arguments()
    if options.quick:
        options.seconds, options.rounds = 0.5, 1
    with tempfile.TemporaryDirectory(prefix="potluck-bench-audit-", dir=options.dir) as scratch:
        root, foreign = Path(scratch), ForeignLoad()
        place = AuditPlace(root / "audit.db", root / "subjects.db", ensure_audit_key(root / "key"), "bench")
        print(f"{'callers':>8}{'records/s':>12}{'median wait':>14}")
        runs = {}
        for callers in CALLERS:
            runs[callers] = run = measured(place, callers, options)
            print(f"{callers:>8}{run.per_s:>12,.0f}{run.waited_s * 1000:>11.1f} ms")
        verified = verified_per_s(place)
    print(f"foreign load: {foreign.cores():.2f} cores")
    result = runs[RESULT_CALLERS]
    print(f"RESULT audit per_s={result.per_s:.0f} callers={RESULT_CALLERS} wait_ms={result.waited_s * 1000:.1f} "
          f"alone_per_s={runs[1].per_s:.0f} verify_per_s={verified:.0f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
