"""Is the audit as it was written? Links and signed checkpoints in, a verdict out that names the first bad record."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cluster.audit_chain import BadCheckpointError, Chain, Checkpoint, Link, Statement, genesis, read
from cluster.audit_records import NotARecordError, Place, place_of

Fault = Literal["edited", "deleted", "inserted", "reordered", "truncated", "rewritten", "foreign"]


@dataclass(frozen=True, slots=True)
class Voucher:
    """A checkpoint, and who keeps it: this log itself, or a member of the cluster."""

    checkpoint: Checkpoint
    keeper: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that there is besides the records. `first` is the sequence that they should begin with.

    `whole`: this is the log, not a part of it; records that are missing in front must have been expired by its own
    account.
    """

    log: str
    vouchers: tuple[Voucher, ...]
    first: int = 1
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """`sequence` is the first record that is wrong; up to `through` where nobody can tell which of them it is."""

    fault: Fault
    sequence: int
    through: int
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`agreeing`: how many checkpoints of each keeper were compared and found right."""

    records: int
    first: int
    last: int
    agreeing: tuple[tuple[str, int], ...]
    finding: Finding | None


class _Wrong(Exception):  # noqa: N818 - ends the walk; it never leaves this module
    def __init__(self, fault: Fault, sequence: int, message: str, through: int | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(fault, sequence, sequence if through is None else through, message)


def verify(evidence: Evidence, links: Iterable[Link], key: Ed25519PublicKey) -> Verdict:
    """Read every record once, in order."""
    vouched = _Vouched(evidence)
    walk = _Walk(evidence, vouched)
    finding: Finding | None = None
    try:
        vouched.take(key)
        walk.begin()
        for link, following in _pairs(links):
            walk.step(link, following)
        vouched.complain()
        walk.end()
    except _Wrong as wrong:
        finding = wrong.finding
    return Verdict(walk.count, evidence.first, walk.last, vouched.agreeing(), finding)


class _Vouched:
    """Checkpoints by the record they speak of."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._by_sequence: dict[int, list[tuple[str, Statement]]] = {}
        self._agreeing: dict[str, int] = {}
        self._complaint = ""
        self.last = 0

    def take(self, key: Ed25519PublicKey) -> None:
        for voucher in self._evidence.vouchers:
            try:
                statement = read(voucher.checkpoint, key)
            except BadCheckpointError as error:
                self._complaint = f"a checkpoint of {voucher.keeper} is not signed by this log's key: {error}"
                continue
            if statement.log != self._evidence.log:
                self._complaint = (
                    f"{voucher.keeper} holds checkpoint {statement.sequence} of another log, and this one was put in "
                    f"its place; if that was you, remove audit-checkpoints/{statement.log}.json there"
                )
                continue
            self._by_sequence.setdefault(statement.sequence, []).append((voucher.keeper, statement))
            self.last = max(self.last, statement.sequence)

    def complain(self) -> None:
        """After the records, so that one of them that is wrong is named first. Raises _Wrong."""
        if self._complaint:
            raise _Wrong("foreign", self._evidence.first, self._complaint)

    def at(self, sequence: int) -> Sequence[tuple[str, Statement]]:
        return self._by_sequence.get(sequence, ())

    def agrees(self, keeper: str) -> None:
        self._agreeing[keeper] = self._agreeing.get(keeper, 0) + 1

    def agreeing(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self._agreeing.items()))


class _Walk:
    """Where the reading is. `_sure` is the last record that a checkpoint has vouched for."""

    def __init__(self, evidence: Evidence, vouched: _Vouched) -> None:
        self._evidence, self._vouched = evidence, vouched
        self.count, self.last = 0, evidence.first - 1
        self._sure = self.last
        self._digest, self._before = genesis(evidence.log), b""
        self._chain: Chain | None = Chain.begin(evidence.log, 0)
        self._expired = 0

    def begin(self) -> None:
        """What the first record must follow: the log's own beginning, or the checkpoint of what is gone."""
        if self._evidence.first == 1:
            return
        known = self._vouched.at(self.last)
        if not known:
            message = f"records 1 to {self.last} are missing, and no checkpoint tells what they ended with"
            raise _Wrong("deleted", 1, message, self.last)
        statement = known[0][1]
        if any(other.digest != statement.digest for _, other in known):
            raise _Wrong("rewritten", 1, f"checkpoints of record {self.last} contradict each other", self.last)
        self._digest = bytes.fromhex(statement.digest)
        self._chain = Chain.after(statement) if statement.closes else None

    def step(self, link: Link, following: Link | None) -> None:
        place = self._place(link, following)
        if link.previous != self._digest:
            self._torn(link, following)
        self._before, self._digest = self._digest, link.digest
        self.last, self.count = link.sequence, self.count + 1
        if self._chain is not None:
            self._chain = self._chain.with_digest(link.digest)
        if place.action == "audit.expire":
            self._expired = max(self._expired, *(v for n, v in place.details if n == "through" and type(v) is int), 0)
        self._compare(link)

    def end(self) -> None:
        if self._vouched.last > self.last:
            message = f"the log ends at record {self.last}, and a checkpoint vouches for {self._vouched.last}"
            raise _Wrong("truncated", self.last + 1, message, self._vouched.last)
        if self._sure < self.last:
            message = f"records after {self._sure} are vouched for by no checkpoint: none was signed after them"
            raise _Wrong("inserted", self._sure + 1, message, self.last)
        if self._evidence.whole and self._evidence.first > 1 and self._expired != self._evidence.first - 1:
            message = f"records 1 to {self._evidence.first - 1} are gone, and not because they had expired"
            raise _Wrong("deleted", 1, message, self._evidence.first - 1)

    def _place(self, link: Link, following: Link | None) -> Place:
        """The record is where it belongs, and itself. Raises _Wrong."""
        expected = self.last + 1
        if link.sequence > expected:
            gap = following is None or following.sequence == link.sequence + 1
            if gap:
                message = f"record {expected} is missing: {self.last} is followed by {link.sequence}"
                raise _Wrong("deleted", expected, message, link.sequence - 1)
            raise _Wrong("reordered", expected, f"in the place of record {expected} is record {link.sequence}")
        if not link.fits:
            self._misplaced(link, expected)
            raise _Wrong("edited", expected, f"record {expected} does not have the hash that was made of it")
        try:
            place = place_of(link.body)
        except NotARecordError as error:
            raise _Wrong("edited", expected, f"record {expected} cannot be read: {error}") from error
        if place.sequence != expected or link.sequence != expected:
            if link.previous == self._before and self.count:
                raise _Wrong("inserted", self.last, f"there are two records in the place of {self.last}")
            raise _Wrong("reordered", expected, f"in the place of record {expected} is record {place.sequence}")
        return place

    @staticmethod
    def _misplaced(link: Link, expected: int) -> None:
        """Raises _Wrong for a body that is whole, and another record's."""
        try:
            place = place_of(link.body)
        except NotARecordError:
            return
        if place.sequence != expected:
            raise _Wrong("reordered", expected, f"in the place of record {expected} is record {place.sequence}")

    def _torn(self, link: Link, following: Link | None) -> None:
        """It does not follow the record before it. The one that nothing else holds on to is the wrong one."""
        held = [statement.digest for _, statement in self._vouched.at(link.sequence)]
        held += [following.previous.hex()] if following is not None else []
        if link.digest.hex() not in held or self.count == 0:
            raise _Wrong("edited", link.sequence, f"record {link.sequence} does not follow what was before it")
        if link.previous == self._before:
            raise _Wrong("inserted", self.last, f"record {self.last} was put in: record {link.sequence} skips it")
        raise _Wrong("edited", self.last, f"record {self.last} is not the one that {link.sequence} was written after")

    def _compare(self, link: Link) -> None:
        """What checkpoints say of this record, and the segment's end that one of them may mark."""
        closing: Statement | None = None
        for keeper, statement in self._vouched.at(link.sequence):
            root = self._chain.tree.root.hex() if self._chain is not None else statement.root
            ours = self._chain is None or statement.first == self._chain.first
            if statement.digest != link.digest.hex() or (ours and statement.root != root):
                since = self._sure + 1
                where = (
                    f"record {since}" if since == link.sequence else f"one of the records {since} to {link.sequence}"
                )
                message = f"{where} is not what checkpoint {link.sequence} of {keeper} vouches for"
                raise _Wrong("rewritten", since, message, link.sequence)
            self._vouched.agrees(keeper)
            closing = statement if statement.closes else closing
        if self._vouched.at(link.sequence):
            self._sure = link.sequence
        if closing is not None:
            self._chain = Chain.after(closing)


def _pairs(links: Iterable[Link]) -> Iterator[tuple[Link, Link | None]]:
    """Each with the one behind it."""
    iterator = iter(links)
    current = next(iterator, None)
    while current is not None:
        following = next(iterator, None)
        yield current, following
        current = following
