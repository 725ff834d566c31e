"""Office files are ZIP archives: what one declares of itself, looked at before any library opens it. Pure.

Nothing is unpacked to disk and no archive within an archive is opened, so its names are only ever names.
"""

import io
import re
import zipfile
import zlib

from rag.parsing.values import CannotParseError

MOST_MEMBERS = 10_000
MOST_UNPACKED = 400_000_000  # bytes of all members together
MOST_XML = 120_000_000  # of one part that is read whole as a tree
MOST_RATIO = 200  # unpacked to packed, where it matters
_RATIO_FROM = 10_000_000  # a small part may well be all zeros
_DECLARATION = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_LOOKED_AT = 16_384  # declarations stand before the first element


def members_of(name: str, content: bytes) -> tuple[str, ...]:
    """Names of an archive that is fit to be opened. Raises CannotParseError."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_sizes(name, members)
            for member in members:
                _check_member(name, archive, member)
            return tuple(member.filename for member in members)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError, RuntimeError) as error:
        raise CannotParseError(
            "invalid_file", f"{name} is damaged: its archive cannot be opened ({error}). Save it again."
        ) from error


def _check_sizes(name: str, members: list[zipfile.ZipInfo]) -> None:
    total = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS:
        raise _bomb(name, f"it has {len(members)} parts; at most {MOST_MEMBERS} are read")
    if total > MOST_UNPACKED:
        raise _bomb(name, f"it unpacks to {total / 1e6:.0f} MB; at most {MOST_UNPACKED / 1e6:.0f} MB are read")
    for member in members:
        if member.file_size > _RATIO_FROM and member.file_size > MOST_RATIO * max(1, member.compress_size):
            ratio = member.file_size // max(1, member.compress_size)
            raise _bomb(name, f"a part of it unpacks to {ratio} times its size; at most {MOST_RATIO} times is read")
        if member.filename.lower().endswith(".xml") and member.file_size > MOST_XML:
            raise _bomb(name, f"a part of it holds {member.file_size / 1e6:.0f} MB; at most {MOST_XML / 1e6:.0f} MB")


def _bomb(name: str, why: str) -> CannotParseError:
    return CannotParseError("invalid_file", f"{name} is not read: {why}. Split it, or save it again without pictures.")


def _check_member(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Names that lead out of the archive and entities that XML may multiply belong to no office file."""
    path = member.filename.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or ":" in path.split("/")[0]:
        raise CannotParseError("invalid_file", f"{name} is not read: a part of it is named {member.filename[:80]!r}.")
    if member.flag_bits & 0x1:
        raise CannotParseError("invalid_file", f"{name} needs a password. Save it without one, then add it again.")
    if not path.lower().endswith((".xml", ".rels", ".vml")):
        return
    with archive.open(member) as part:
        start = part.read(_LOOKED_AT).replace(b"\x00", b"")  # UTF-16 says the same with zeros between
    if _DECLARATION.search(start):
        raise CannotParseError(
            "invalid_file", f"{name} is not read: its XML declares entities, which no office program writes."
        )
