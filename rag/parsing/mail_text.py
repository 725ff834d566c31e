"""The new words of a mail: what it quotes of the one before is found there already. Pure."""

import re

from rag.parsing.clean import clean_text

_WROTE = "wrote|escribió|a écrit|schrieb|ha scritto|escreveu|va escriure"
_BEFORE = "Original Message|Mensaje original|Message d'origine|Ursprüngliche Nachricht|Missatge original"
_ATTRIBUTIONS = (
    re.compile(rf"^(On|El|Le|Am|Il|Em|El dia) .{{5,200}}?({_WROTE}):?\s*$"),
    re.compile(rf"^-{{2,}} ?({_BEFORE}) ?-{{2,}}$"),
    re.compile(r"^_{20,}$"),
)
_SENDER = re.compile(r"^\*?(From|De|Von|Da):\*? .+")
_SENT = re.compile(r"^\*?(Sent|Enviado( el)?|Envoyé|Gesendet|Inviato|Enviat|Date|Fecha):\*? .+")
_FORWARD = re.compile(r"^\s*(fwd?|rv|tr|wg|i|enc)\s*:", re.IGNORECASE)
_FORWARDED = re.compile(r"^-{2,} ?(Forwarded message|Mensaje reenviado|Begin forwarded message)", re.IGNORECASE)


def new_words(body: str, subject: str) -> str:
    """Without quoted lines and what follows "On … wrote:". A forwarded mail keeps all, and so does one that is
    nothing but quotes."""
    lines = clean_text(body).split("\n")
    if _FORWARD.match(subject) or any(_FORWARDED.match(line) for line in lines):
        return "\n".join(lines)
    kept: list[str] = []
    for index, line in enumerate(lines):
        joined = " ".join(lines[index : index + 2])  # an attribution may be wrapped
        if any(pattern.match(line) or pattern.match(joined) for pattern in _ATTRIBUTIONS) or _quotes(lines, index):
            break
        if not line.startswith(">"):
            kept.append(line)
    return clean_text("\n".join(kept)) or "\n".join(lines)


def _quotes(lines: list[str], index: int) -> bool:
    """Whether Outlook's header of the mail before begins here."""
    return bool(_SENDER.match(lines[index])) and any(_SENT.match(line) for line in lines[index + 1 : index + 3])
