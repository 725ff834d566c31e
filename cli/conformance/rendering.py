"""A report as text for people and as a document for programs."""

import textwrap

from cli.conformance.running import Report
from cli.conformance.verdicts import Result, Verdict
from cli.table import printable

MARKS: dict[Verdict, str] = {"pass": "pass", "fail": "FAIL", "not offered": "absent", "not tried": "untried"}
VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "not offered", "not tried")
INDENT = 9


def report_text(report: Report, width: int) -> str:
    names = max((len(result.check.name) for result in report.results), default=0)
    lines = [f"{report.url}  model {report.facts.model}  speaks {', '.join(one.name for one in report.facts.offered)}"]
    subject = ""
    for result in report.results:
        if result.check.subject != subject:
            subject = result.check.subject
            lines += ["", subject]
        lines += _lines(result, names, width)
    return "\n".join([*lines, "", summary(report)])


def summary(report: Report) -> str:
    words: dict[Verdict, str] = {"pass": "passed", "fail": "failed"}
    counted = ", ".join(f"{report.count(verdict)} {words.get(verdict, verdict)}" for verdict in VERDICTS)
    return f"{counted} of {len(report.results)}, in {report.took_s:.0f} s"


def report_document(report: Report) -> dict[str, object]:
    facts = report.facts
    return {
        "url": report.url,
        "model": facts.model,
        "contextTokens": facts.context_tokens,
        "dialects": [dialect.name for dialect in facts.offered],
        "counts": {verdict: report.count(verdict) for verdict in VERDICTS},
        "seconds": round(report.took_s, 1),
        "checks": [_entry(result) for result in report.results],
    }


def _entry(result: Result) -> dict[str, object]:
    check, seen = result.check, result.seen
    return {
        "name": check.name,
        "subject": check.subject,
        "right": check.right,
        "verdict": seen.verdict,
        "seen": seen.evidence,
        "advice": check.advice if seen.verdict == "fail" else None,
        "seconds": round(result.took_s, 3),
    }


def _lines(result: Result, names: int, width: int) -> list[str]:
    """What was seen; and of a failure also what would be right, and why it matters."""
    check, seen = result.check, result.seen
    first = f"{MARKS[seen.verdict]:{INDENT}}{check.name:{names}}  "
    wrapped = _wrapped(printable(seen.evidence), first, " " * len(first), width)
    if seen.verdict == "fail":
        wrapped += _wrapped(check.right, " " * INDENT + "right: ", " " * (INDENT + 7), width)
        wrapped += _wrapped(check.advice, " " * INDENT + "why:   ", " " * (INDENT + 7), width)
    return wrapped


def _wrapped(text: str, first: str, then: str, width: int) -> list[str]:
    """Wrapped, never cut: a word that is longer than a line stands on a line of its own."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    ) or [first.rstrip()]
