"""Two hundred files that nobody means well with: the same for the same seed, each with a name that says what it is.

Whole files of the corpus, cut off and spoiled, are half of them; the other half is made by hand (hostile_made).
"""

import random
from collections.abc import Iterator
from pathlib import Path

from support.hostile_made import MADE

CORPUS = Path(__file__).parent.parent / "data" / "corpus"
WHOLE = (
    "school/acta-claustro-marzo.docx",
    "school/science-fair.pptx",
    "school/horario-tercero.xlsx",
    "school/guia-familias.pdf",
    "school/excursion-2.eml",
    "clinic/ward.mbox",
    "school/calendario.ics",
    "clinic/reception-chat.json",
    "school/comedor.html",
    "clinic/onboarding.md",
)
ENDINGS = (
    ".pdf",
    ".docx",
    ".pptx",
    ".xlsx",
    ".eml",
    ".mbox",
    ".ics",
    ".json",
    ".html",
    ".md",
    ".txt",
    ".csv",
    "",
    ".exe",
)
CUTS, SPOILED, MISNAMED, NOISE = 6, 5, 2, 12  # of each whole file; of noise altogether


def hostile_files(seed: int, files: int = 200) -> Iterator[tuple[str, bytes]]:
    """First those made by hand, then what chance makes of whole ones, until there are enough."""
    chance = random.Random(seed)
    yield from ((name, make()) for name, make in MADE.items())
    drawn = [*_cut_off(chance), *_spoiled(chance), *_misnamed(chance), *_noise(chance)]
    while len(MADE) + len(drawn) < files:
        drawn += [*_spoiled(chance), *_cut_off(chance)]
    chance.shuffle(drawn)
    yield from drawn[: files - len(MADE)]


def _cut_off(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for path in WHOLE:
        content = (CORPUS / path).read_bytes()
        for _ in range(CUTS):
            end = chance.randrange(1, len(content))
            yield f"cut-at-{end}-{Path(path).name}", content[:end]


def _spoiled(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Some bytes are others; of archives mostly those that name and measure their members."""
    for path in WHOLE:
        for number in range(SPOILED):
            content = bytearray((CORPUS / path).read_bytes())
            first = max(0, len(content) - 2_000) if number % 2 and content.startswith(b"PK") else 0
            for _ in range(chance.choice((1, 10, 300))):
                content[chance.randrange(first, len(content))] = chance.randrange(256)
            yield f"spoiled-{number}-{Path(path).name}", bytes(content)


def _misnamed(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for path in WHOLE:
        for _ in range(MISNAMED):
            yield f"misnamed-{Path(path).stem}{chance.choice(ENDINGS)}", (CORPUS / path).read_bytes()


def _noise(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    starts = (
        b"",
        b"%PDF-1.7\n",
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"From: x\n",
        b"BEGIN:VCALENDAR\n",
    )
    for number in range(NOISE):
        ending = chance.choice(ENDINGS)
        yield f"noise-{number}{ending}", chance.choice(starts) + chance.randbytes(chance.choice((10, 5_000, 200_000)))
