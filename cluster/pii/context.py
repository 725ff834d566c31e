"""Words near a number that speak for or against it, in Spanish and English. Pure.

What speaks against it does so only within its clause; what speaks for it may stand on the line before. Of both, the
nearer one counts.
"""

import re
from typing import NamedTuple

BEFORE, AFTER = 48, 24  # characters that are looked at
_ENDS = re.compile(r"[.;!?](?=\s)|\n")


def words(*alternatives: str) -> re.Pattern[str]:
    """In lower case. Each begins with a letter and nothing before it, so that a search leaps from one such letter to
    the next; whether a word begins there is looked at afterwards."""
    return re.compile(rf"(?:{'|'.join(alternatives)})(?!\w)")


def lowered(text: str) -> str:
    """As long as the text: the few letters that become two stay as they are."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


OTHER_NUMBERS = words(
    r"pedidos?", r"orden", r"orders?", r"ref(?:erencia|erence)?", r"facturas?", r"invoices?", r"tickets?",
    r"incidencias?", r"issues?", r"lotes?", r"lot", r"batch", r"serie", r"serial", r"s/n", r"sku",
    r"isbn", r"issn", r"ean", r"upc", r"gtin", r"barcode", r"barras", r"expedientes?", r"tracking", r"seguimiento",
    r"env[íi]o", r"shipment", r"build", r"commit", r"versi[óo]n", r"version", r"release", r"firmware", r"sha\d*",
    r"hash", r"md5", r"checksum", r"uuid", r"guid", r"transacci[óo]n", r"transaction", r"precio", r"price", r"importe",
    r"amount", r"saldo", r"total", r"bytes", r"modelo", r"model", r"part", r"albar[áa]n", r"timestamp", r"epoch",
    r"lat", r"lon", r"lng", r"coordenadas", r"coordinates", r"producto", r"product", r"art[íi]culo", r"item", r"oid",
    r"contador", r"counter", r"poblaci[óo]n", r"population", r"registros", r"rows", r"records", r"trace", r"span",
    r"patente", r"patent", r"doi", r"case", r"caso", r"matr[íi]cula", r"cat[áa]logo", r"catalogue", r"catalog",
    r"licitaci[óo]n", r"presupuesto", r"budget", r"siniestro", r"claim", r"job", r"tarea", r"pid", r"offset",
)  # fmt: skip


class Near(NamedTuple):
    """`says` is 1 where a word speaks for it, -1 against it, 0 where none speaks."""

    says: int
    word: str = ""


NOTHING = Near(0)


def near(low: str, start: int, end: int, helps: re.Pattern[str], harms: re.Pattern[str] = OTHER_NUMBERS) -> Near:
    """What the words around this place say of it, in a text that is `lowered`."""
    begins = max(0, start - BEFORE)
    helped = _last(helps, low, begins, start)
    harmed = _last(harms, low, _clause(low, begins, start), start)
    if helped is not None and (harmed is None or helped.end() >= harmed.end()):
        return Near(1, helped.group())
    if harmed is not None:
        return Near(-1, harmed.group())
    stop = min(len(low), end + AFTER)
    ended = _ENDS.search(low, end, stop)
    behind = helps.search(low, end, ended.start() if ended else stop)
    return NOTHING if behind is None or not _begins(low, behind.start()) else Near(1, behind.group())


def _clause(low: str, begins: int, start: int) -> int:
    """Where the clause begins that ends at `start`."""
    for ended in _ENDS.finditer(low, begins, start):
        begins = ended.end()
    return begins


def _last(pattern: re.Pattern[str], low: str, begins: int, start: int) -> re.Match[str] | None:
    found = None
    for match in pattern.finditer(low, begins, start):
        if _begins(low, match.start()):
            found = match
    return found


def _begins(low: str, start: int) -> bool:
    return start == 0 or not (low[start - 1].isalnum() or low[start - 1] == "_")
