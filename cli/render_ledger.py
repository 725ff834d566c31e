"""What engines took beside what was predicted, as text."""

from cli.table import mib_or_gib, table
from cluster.ledger_report import BuildDocument, LedgerDocument

TELLING_SHARE = 0.0005  # less is 0.0 %


def ledger_text(document: LedgerDocument, node: str | None, columns: int | None = None) -> str:
    """For each engine of each machine: its starts, the error of each item, and what is corrected by them."""
    if not document.engines:
        return f"no engine has been measured on {node or 'any machine'} so far"
    return "\n\n".join(_engine(build, columns) for build in document.engines)


def _engine(build: BuildDocument, columns: int | None) -> str:
    served = sum(start.served for start in build.starts)
    count = f"{len(build.starts)} start{'s' * (len(build.starts) != 1)}"
    head = f"{build.node}: {build.engine} {build.version}{' on a GPU' * build.accelerated}, {count}, {served} served"
    return "\n".join((head, _starts(build, columns), "", _errors(build), f"correction: {_correction(build)}"))


def _starts(build: BuildDocument, columns: int | None) -> str:
    return table(("MODEL", "USERS", "CONTEXT", "KV BITS", "PREDICTED", "PEAK", "ERROR"), [
        (
            start.model,
            str(start.users),
            f"{start.context_tokens:,}",
            str(start.kv_bits),
            mib_or_gib(start.predicted_bytes),
            mib_or_gib(start.peak_bytes),
            f"{start.error:+.1%}" + ("" if start.served else " (has not served yet)"),
        )
        for start in build.starts
    ], columns, ("KV BITS", "CONTEXT"), ("ERROR",))  # fmt: skip


def _errors(build: BuildDocument) -> str:
    rows = [
        (one.item, str(one.starts), f"{one.median:+.1%}", _percent(min(0.0, one.least)), _percent(max(0.0, one.most)))
        for one in build.errors
    ]
    return table(("ITEM", "STARTS", "MEDIAN ERROR", "WORST UNDER", "WORST OVER"), rows)


def _percent(share: float) -> str:
    return f"{share:+.1%}" if abs(share) >= TELLING_SHARE else "-"


def _correction(build: BuildDocument) -> str:
    return build.why if build.shift_bytes or build.more else f"none: {build.why}"
