"""Numbers that only the words before them tell from others: passports, medical records, health cards. Pure."""

import re
from collections.abc import Iterator

from cluster.pii import checksums
from cluster.pii.spans import LIKELY, SURE, Kind, Span

_LEADS = re.compile(
    r"(?:pasaportes?|passports?|n(?:[úu]mero|\.?[º°o]?\.?|[º°]|[úu]m\.?) (?:de )?historia(?: cl[íi]nica)?"
    r"|historial? (?:cl[íi]nic[ao]|m[ée]dic[ao])|n\.?h\.?c\.?|h\.?c\.?|mrn|medical record|medicare"
    r"|health (?:record|card)"
    r"|patient (?:id|no|number|record)|id (?:de |del )?paciente|c[óo]digo (?:(?:de |del )?paciente|sns)"
    r"|chart(?: number| no)?|episodio(?: cl[íi]nico)?|cip(?:a|-sns|-aut)?|sip|tsi|nuhsa|nhs|tarjeta sanitaria)(?!\w)"
)
_CARDS = ("cip", "sip", "tsi", "nuhsa", "nhs", "tarjeta", "código sns", "codigo sns", "health card", "medicare")
_BETWEEN = (
    r"[\s:=#.,º°ª\"'(\[|;-]{0,6}(?:(?:n|no|nº|num|n[úu]mero|number|id|es|is|de|del|la|el|electr[óo]nica|espa[ñn]ol"
    r"|individual|expedido|code|c[óo]digo|con|with|paciente|patient|of|sns|aut)(?!\w)[\s:=#.,º°ª\"'(-]{0,4}){0,4}"
)
_PASSPORT = re.compile(
    _BETWEEN + r"(?P<value>[A-Z]{1,3}[ -]?[0-9]{6,8}[A-Z]?|[0-9]{9}|[0-9]{2}[A-Z]{2}[0-9]{5})(?![\w-])", re.IGNORECASE
)
_RECORD = re.compile(
    _BETWEEN + r"(?P<value>(?=[\w/-]{0,6}[0-9][\w/-]{0,4}[0-9])[A-Z0-9][A-Z0-9/-]{2,15}[A-Z0-9])(?![\w@]|[.,][0-9])",
    re.IGNORECASE,
)
_CARD = re.compile(
    _BETWEEN + r"(?P<value>[A-Z]{0,8}[ -]?(?:[A-Z]{2}[ -]?)?[0-9](?:[ -]?[0-9]){5,15})(?![\w@])", re.IGNORECASE
)
# A health card's code with a birthday in it, the national system's, Andalusia's.
_SHAPES = re.compile(
    r"[A-Z](?<!\w[A-Z])(?:(?<=B)B{7}[A-Z]{2}[0-9]{6}|(?<=A)N[0-9]{10}"
    r"|[A-Z]{3}[ -]?(?:[01][ -]?)?[0-9]{2}(?P<month>[0-9]{2})(?P<day>[0-9]{2})[ -]?[0-9]{3}(?:[ -]?[0-9]{2,3})?)(?!\w)"
)
_ZONE = re.compile(
    r"P[<A-Z][A-Z]{3}[A-Z<]{39}\n[A-Z0-9<]{9}[0-9][A-Z]{3}[0-9]{6}[0-9][MFX<][0-9]{6}[0-9][A-Z0-9<]{14}[0-9<][0-9]"
)
_ALNUM = re.compile(r"[^0-9A-Za-z]")


def find(text: str, low: str) -> Iterator[Span]:
    for lead in _LEADS.finditer(low):
        if lead.start() == 0 or not low[lead.start() - 1].isalnum():
            yield from _after(text, lead)


def shapes(text: str, _: str) -> Iterator[Span]:
    """Those whose form alone tells what they are."""
    for match in _SHAPES.finditer(text):
        if match["month"] is None:
            yield Span("medical_record", match.start(), match.end(), SURE, "a health system's code")
        elif 1 <= int(match["month"]) <= 12 and 1 <= (int(match["day"]) - 1) % 40 + 1 <= 31:
            yield Span("medical_record", match.start(), match.end(), LIKELY, "a health card's code with a birthday")
    if "P<" in text:
        for match in _ZONE.finditer(text):
            yield Span("passport", match.start(), match.end(), SURE, "the lines that machines read in a passport")


def _after(text: str, lead: re.Match[str]) -> Iterator[Span]:
    word = lead.group()
    kind: Kind = "medical_record"
    pattern = _CARD if word.startswith(_CARDS) else _RECORD
    if word.startswith("pas"):
        kind, pattern = "passport", _PASSPORT
    match = pattern.match(text, lead.end())
    if match is None or (pattern is _RECORD and not _is_record(match["value"])):
        return
    sure, why = 0.9, f"follows `{word}`"
    digits = _ALNUM.sub("", match["value"])
    if word == "nhs" and digits.isdigit() and len(digits) == 10:
        fits = checksums.nhs(digits)
        sure, why = (SURE if fits else 0.3), f"{why}; its check digit {'fits' if fits else 'is wrong'}"
    yield Span(kind, match.start("value"), match.end("value"), sure, why)


def _is_record(value: str) -> bool:
    """Not a date, and not a year."""
    digits = sum(one.isdigit() for one in value)
    date = re.fullmatch(r"[0-9]{1,4}[/-][0-9]{1,2}([/-][0-9]{1,4})?", value) is not None
    return digits >= 3 and not date and not (len(value) == 4 and value[:2] in ("19", "20"))
