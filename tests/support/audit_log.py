"""An audit log in memory, as its writer would have made it, for tests of what is read from one."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.audit_chain import Chain, Link, sign
from cluster.audit_records import OPERATOR, AuditEvent, encode, record_of
from cluster.audit_verify import Evidence, Voucher

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = "0123456789abcdef"


@dataclass(frozen=True)
class WrittenLog:
    links: tuple[Link, ...]
    vouchers: tuple[Voucher, ...]

    @property
    def evidence(self) -> Evidence:
        return Evidence(LOG, self.vouchers)


def body(sequence: int, target: str = "box") -> bytes:
    event = AuditEvent("node.cordon", "done", OPERATOR, target, f"req_{sequence}")
    return encode(record_of(event, sequence, 1_800_000_000_000 + sequence, "box", None))


def written(count: int, kept: Sequence[int] = (), closed: Sequence[int] = ()) -> WrittenLog:
    """`count` records; checkpoints after those `kept`, segments that end after those `closed`, and one at the end."""
    chain, links, vouchers = Chain.begin(LOG, 0), [], []
    for sequence in range(1, count + 1):
        link, chain = chain.linked(body(sequence))
        links.append(link)
        if sequence in {*kept, *closed, count}:
            statement = chain.statement(sequence, closes=sequence in closed)
            vouchers.append(Voucher(sign(statement, KEY), "audit.db"))
        if sequence in closed:
            chain = chain.next_segment(sequence)
    return WrittenLog(tuple(links), tuple(vouchers))
