"""How the parts of a split GGUF model are named: STEM-00001-of-00003.gguf."""

import re

from inventory.gguf_header import GgufError

MAX_PARTS = 1_000
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def part_names(name: str) -> tuple[str, ...]:
    """The names of all parts of the model that `name` belongs to: itself alone if it is not split."""
    found = _PART.fullmatch(name)
    if found is None:
        return (name,)
    count = int(found["count"])
    if not 1 <= int(found["number"]) <= count <= MAX_PARTS:
        raise GgufError(name, f"there is no part {found['number']} of {found['count']}")
    return tuple(f"{found['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1))
