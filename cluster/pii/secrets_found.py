"""Keys, tokens and passwords. Pure."""

import re
from collections.abc import Iterator

from cluster.pii.spans import SURE, Span

_KEY_END = "-----END "
_KEY_MOST = 16_384  # characters of a private key
_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
# One look-behind for all: a token that goes on before this place began there.
_TOKENS = re.compile(
    r"(?<![\w-])(?:"
    r"(?P<a_potluck_key>pl_[0-9a-f]{10}_[\w-]{43}|ple_[\w-]{20,86}|pj1_[\w-]{60,200})"
    r"|(?P<a_JWT>eyJ[\w-]{8,4096}\.eyJ[\w-]{4,8192}\.[\w-]{0,2048})"
    r"|(?P<an_AWS_key>(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16})"
    r"|(?P<a_GitHub_token>gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,244})"
    r"|(?P<a_GitLab_token>glpat-[\w-]{20,64})"
    r"|(?P<a_Slack_token>xox[abeoprs]-[A-Za-z0-9-]{10,200})"
    r"|(?P<a_Google_key>AIza[\w-]{35})"
    r"|(?P<an_API_key>sk-(?:ant-|proj-|svcacct-)?[\w-]{20,200})"
    r"|(?P<a_Stripe_key>[rs]k_(?:live|test)_[A-Za-z0-9]{16,200})"
    r"|(?P<a_Hugging_Face_token>hf_[A-Za-z0-9]{30,64})"
    r"|(?P<an_npm_token>npm_[A-Za-z0-9]{36})"
    r"|(?P<a_PyPI_token>pypi-[\w-]{50,250})"
    r")(?![\w-])"
)
_MARKS = re.compile(
    r"pl_|ple_|pj1_|eyJ|AKIA|ASIA|AROA|AIDA|gh[pousr]_|github_pat_|glpat-|xox|AIza|sk-|k_live|k_test|hf_|npm_|pypi-"
)
_IN_ADDRESS = re.compile(r"://[^\s:/@\"'<>]{0,64}:([^\s:/@\"'<>]{3,128})@[\w.-]")
_BEARER = re.compile(r"(?:bearer|basic)\s{1,4}([a-z0-9+/_.~=-]{16,2048})(?![\w-])")
_SAID = re.compile(
    r"(?:contrase[ñn]a|password|passwd|passphrase|pwd|clave|pass|pin|secret|secreto|token|api[ _-]?key"
    r"|access[ _-]?key|secret[ _-]?access[ _-]?key|secret[ _-]?key|client[ _-]?secret|auth[ _-]?token|credential)"
    r"(?:[ _](?:de|del|la|el|wifi|wi-fi|admin|acceso|correo|temporal|nueva|actual|for|root|user|new|temporary|wlan|the"
    r"|is now|es ahora|provisional|inicial|maestra)){0,3}[\"'`*]{0,3}\s{0,3}"
    r"(?P<how>:=|[:=]|=>|\bes\b|\bis\b|\bson\b)\s{0,3}[\"'`*«“]{0,3}(?P<value>[^\s\"'`*«»“”<>]{4,256})"
)
_PLACEHOLDER = re.compile(
    r"(?:\$[{(]?|\{\{|%|\[|<|\(|os\.|process\.|env\b|str\b|none\b|null\b|true\b|false\b|nil\b|undefined\b|x{3,}|\*{2,}|\.{3}"
    r"|changeme|example|ejemplo|your|tu[-_]|self\.|get|http|/)",
    re.IGNORECASE,
)


def find(text: str, low: str) -> Iterator[Span]:
    if "-----BEGIN " in text:
        yield from _private_keys(text)
    if _MARKS.search(text) is not None:
        for match in _TOKENS.finditer(text):
            named = (match.lastgroup or "").replace("_", " ")
            yield Span("secret", match.start(), match.end(), SURE, f"begins as {named}")
    if "://" in text:
        for match in _IN_ADDRESS.finditer(text):
            if _PLACEHOLDER.match(match[1]) is None:
                yield Span("secret", *match.span(1), 1.0, "a password in an address")
    if "bearer" in low or "basic" in low:
        for match in _BEARER.finditer(low):
            if _mixed(match[1]):
                yield Span("secret", *match.span(1), 0.95, "follows the name of a scheme")
    yield from _said(text, low)


def _said(text: str, low: str) -> Iterator[Span]:
    for match in _SAID.finditer(low):
        start, end = match.span("value")
        value = text[start:end].rstrip(".,;:!?)]}\\")
        begins = match.start() == 0 or not low[match.start() - 1].isalnum()
        if begins and value and _is_password(value, match["how"]):
            yield Span("secret", start, start + len(value), 0.9, "is named as one")


def _private_keys(text: str) -> Iterator[Span]:
    """To its end, or as far as a key may reach where that is missing."""
    done = 0
    for match in _KEY.finditer(text):
        if match.start() < done:
            continue
        most = match.end() + _KEY_MOST
        ended = text.find(_KEY_END, match.end(), most)
        closed = text.find("-----", ended + len(_KEY_END), ended + 60) if ended != -1 else -1
        done = closed + 5 if closed != -1 else min(len(text), most)
        yield Span("secret", match.start(), done, 1.0, "a private key")


def _is_password(value: str, how: str) -> bool:
    """Not a word about one: what follows `is` must look more like one than what follows a colon."""
    if _PLACEHOLDER.match(value) is not None or len(set(value)) < 4:
        return False
    if value[-1] == "(" or "()" in value or "](" in value:
        return False
    strength = _strength(value)
    return strength >= 2 if how in (":", "=", ":=", "=>") else strength >= 2 and any(one.isdigit() for one in value)


def _strength(value: str) -> int:
    """How many kinds of characters it mixes; a capital that only begins a word is none."""
    digits = any(one.isdigit() for one in value)
    letters = any(one.isalpha() for one in value)
    signs = any(not one.isalnum() and one not in "-._" for one in value)
    mixed = any(one.isupper() for one in value[1:]) and any(one.islower() for one in value)
    return digits + letters + signs + mixed


def _mixed(value: str) -> bool:
    return any(one.isdigit() for one in value) and any(one.isalpha() for one in value)
