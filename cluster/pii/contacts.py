"""How people and their machines are reached: e-mail, telephones, IP addresses. Pure."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from cluster.pii.context import near, words
from cluster.pii.identities import judged
from cluster.pii.spans import LIKELY, NOT_SURE, SURE, Span

_LOCAL = frozenset("%'+-._")  # more is allowed than anybody has: what stands before an address often is one of the rest
_LOCAL_MOST = 64
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,40})(?![\w-])")
_NO_DOMAIN = frozenset(("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "json", "html"))

_PHONE_WORDS = words(
    r"tel[ée]?(?:fonos?|f\.?)?", r"tf?no\.?", r"tlfn?o?s?\.?", r"m[óo]vil(?:es)?", r"llam\w+", r"whatsapp", r"wasap",
    r"contact(?:o|ar|e|a)?", r"phones?", r"telephone", r"mobile", r"cell(?:phone)?", r"call", r"fax", r"sms",
    r"marcar?", r"extensi[óo]n", r"emergency", r"emergencia", r"dial", r"ring", r"text(?: me)?", r"madre", r"padre",
    r"tutora?",
)  # fmt: skip
_PHONE = re.compile(r"[+(0-9](?<![\w@#][+(0-9])(?<![0-9][.,/:-][+(0-9])(?:[ .\u00a0()/-]{0,2}[0-9]){6,16}")
_ROW = re.compile(r"[+(]*[0-9]+")
_NAME_PART = re.compile(r"[A-Za-z0-9_][/-]$|[/][A-Za-z]{1,12}=$")
_THOUSANDS = re.compile(r"(?<![0-9])[0-9]{1,3}[ .\u00a0]$")
ADDRESS = 80  # characters of a web address that are looked back at
_SPANISH_SHAPES = re.compile(
    r"(?:\(?(?:\+|00)[ ]?34\)?[ .\u00a0-]?|34[ ])?"
    r"(?P<number>\(?[6789][0-9]{2}\)?[ .\u00a0-]?[0-9]{3}[ .\u00a0-]?[0-9]{3}"
    r"|[6789][0-9]{2}[ .\u00a0-][0-9]{2}[ .\u00a0-][0-9]{2}[ .\u00a0-][0-9]{2}"
    r"|\(?[89][0-9]\)?[ .\u00a0-][0-9]{3}[ .\u00a0-][0-9]{2}[ .\u00a0-][0-9]{2}"
    r"|[67][0-9]{2}[ .\u00a0-][0-9]{6})(?![0-9])"
)
_ABROAD = re.compile(r"\(?(?:\+|00)[ ]?\(?[1-9][0-9]{0,2}\)?(?:[ .\u00a0/()-]{0,2}[0-9]){6,12}(?![0-9])")
_AMERICAN = re.compile(r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9])")

_V4 = re.compile(r"[0-9](?<![\w.@/-][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![\w@-]|\.[0-9])")
_V6 = re.compile(r"[0-9A-Fa-f:](?<![\w:.@][0-9A-Fa-f:])[0-9A-Fa-f:]{3,44}(?:(?<=:)[0-9.]{7,15})?(?![\w:]|\.[0-9])")
_IP_WORDS = words(
    r"ip", r"ipv4", r"ipv6", r"address", r"direcci[óo]n", r"host", r"client", r"remote", r"from", r"desde", r"login"
)
LOW = 30  # four numbers up to this are a version rather than an address
_VERSIONS = words(
    r"v", r"versi[óo]n", r"version", r"release", r"firmware", r"build", r"driver", r"oid", r"secci[óo]n", r"section",
    r"cap[íi]tulo", r"apartado", r"chapter", r"clause", r"cl[áa]usula", r"released?(?: as)?", r"publicad[oa]",
    r"upgrade(?:d)?(?: to)?", r"actualiza\w*",
)  # fmt: skip


def emails(text: str, _: str) -> Iterator[Span]:
    """Around each @: leftwards as far as a local part may reach, rightwards a domain."""
    at = text.find("@")
    while at != -1:
        start = at
        while start > 0 and at - start < _LOCAL_MOST and (text[start - 1].isalnum() or text[start - 1] in _LOCAL):
            start -= 1
        while start < at and not (text[start].isalnum() or text[start] == "_"):
            start += 1
        domain = _DOMAIN.match(text, at + 1) if start < at and text[at - 1] != "." else None
        if domain is not None and not _no_address(text, start, domain):
            yield Span("email", start, domain.end(), SURE, "an address with a domain")
        at = text.find("@", at + 1)


def _no_address(text: str, start: int, domain: re.Match[str]) -> bool:
    """A file of two sizes, or what git clones from."""
    behind = text[domain.end() : domain.end() + 1]
    if domain.group().rpartition(".")[2].lower() in _NO_DOMAIN:
        return True
    return behind == ":" and text[start : domain.start() - 1] == "git"


def phones(text: str, low: str) -> Iterator[Span]:
    match, before = _PHONE.search(text), 0
    while match is not None:
        follows = before > 0 and match.start() <= before + 1  # another one
        span = _phone_at(text, low, *match.span()) if follows or _may_begin(text, match.start()) else None
        if span is not None:
            yield span
            before = span.end
            match = _PHONE.search(text, before)
        else:
            row = _ROW.match(text, match.start())
            match = _PHONE.search(text, row.end() if row is not None else match.start() + 1)


def _may_begin(text: str, start: int) -> bool:
    """Not within an address of the web, a name of parts, or a number in groups of three."""
    before = text[max(0, start - ADDRESS) : start]
    if before[-1:] in ("/", "=", "-", "&") and ("://" in before.rpartition(" ")[2] or _NAME_PART.search(before)):
        return False
    return _THOUSANDS.search(before) is None


def _phone_at(text: str, low: str, start: int, stop: int) -> Span | None:
    spanish = _SPANISH_SHAPES.match(text, start)
    if spanish is not None and _ends_well(text, spanish.end()):
        number = spanish["number"]
        named, flat = spanish.start("number") > start, number.isdigit()
        plain = SURE if named else NOT_SURE if flat else LIKELY
        span = Span("phone", start, spanish.end(), plain, "a Spanish number" if named else "as Spanish numbers are")
        return judged(span, near(low, start, spanish.end(), _PHONE_WORDS), 0.6)
    abroad = _ABROAD.match(text, start)
    if abroad is not None and _ends_well(text, abroad.end()):
        sure = LIKELY + 0.15 if "+" in abroad.group() else 0.4
        span = Span("phone", start, abroad.end(), sure, "a number with its country")
        return judged(span, near(low, start, abroad.end(), _PHONE_WORDS), 0.5)
    american = _AMERICAN.match(text, start)
    if american is not None and _ends_well(text, american.end()):
        span = Span("phone", start, american.end(), 0.6, "as North American numbers are")
        return judged(span, near(low, start, american.end(), _PHONE_WORDS))
    if not 7 <= sum(map(str.isdigit, text[start:stop])) <= 13 or not _ends_well(text, stop):
        return None
    around = near(low, start, stop, _PHONE_WORDS)
    return Span("phone", start, stop, LIKELY, f"a number near `{around.word}`") if around.says == 1 else None


def _ends_well(text: str, end: int) -> bool:
    behind = text[end : end + 2]
    if behind[:1].isalnum() or behind[:1] in ("_", "@"):
        return False
    return not (
        behind[:1] in (".", ",", ":", "-", "/", "%", "€", "$") and (behind[1:2].isdigit() or behind[:1] in "%€$")
    )


def addresses(text: str, low: str) -> Iterator[Span]:
    for match in _V4.finditer(text):
        try:
            address = IPv4Address(match.group())
        except AddressValueError:
            continue
        if address.is_loopback or address.is_unspecified or address.is_multicast or match.group().startswith("255."):
            continue
        around = near(low, match.start(), match.end(), _IP_WORDS, _VERSIONS)
        sure = LIKELY if address.is_private or any(int(part) > LOW for part in match.group().split(".")) else 0.4
        if text[match.start() - 2 : match.start()] != "==":  # a package of this version
            yield judged(Span("ip", match.start(), match.end(), sure, "an address of version 4"), around)
    for match in _V6.finditer(text):
        found = match.group()
        if found.count(":") < 2 or not any(one.isdigit() for one in found):
            continue
        try:
            six = IPv6Address(found)
        except AddressValueError:
            continue
        if six.is_loopback or six.is_unspecified:
            continue
        yield Span("ip", match.start(), match.end(), LIKELY + 0.15, "an address of version 6")
