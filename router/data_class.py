"""The header by which a client says that a request is of more privacy classes than its key. It can add, never take."""

import re
from collections.abc import Iterable

from router.errors import ApiError, invalid

HEADER = b"x-potluck-data-class"
MOST_CLASSES = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
NONE: frozenset[str] = frozenset()


def classes_in(value: bytes) -> frozenset[str]:
    """Names with commas between them. Raises ApiError 400."""
    names = [name.strip() for name in value.decode("latin-1").split(",")]
    if len(names) > MOST_CLASSES or not all(_NAME.fullmatch(name) for name in names):
        said = f"holds up to {MOST_CLASSES} names of privacy classes, with commas between them"
        raise invalid(f"`{HEADER.decode()}` {said}", code="invalid_data_class")
    return frozenset(names)


def classes_of(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[str]:
    """Of a whole head, however often the header is in it. Raises ApiError 400."""
    values = [value for name, value in headers if name == HEADER]
    return classes_in(b",".join(values)) if values else NONE


def repeated() -> ApiError:
    """More of one header than a look-up by name shows: a class must not get lost."""
    return invalid(f"send `{HEADER.decode()}` once, with commas between the classes", code="invalid_data_class")
