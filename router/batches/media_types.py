"""What a file is, by its name: the same on every machine, whatever its own tables say. Pure."""

from collections.abc import Mapping
from mimetypes import MimeTypes
from types import MappingProxyType

UNKNOWN = "application/octet-stream"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_MORE: Mapping[str, str] = MappingProxyType(  # that the standard library does not know everywhere
    {
        ".docx": f"{_OFFICE}.wordprocessingml.document",
        ".eml": "message/rfc822",
        ".ics": "text/calendar",
        ".jsonl": "application/jsonl",
        ".markdown": "text/markdown",
        ".mbox": "application/mbox",
        ".md": "text/markdown",
        ".pptx": f"{_OFFICE}.presentationml.presentation",
        ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
        ".yaml": "application/yaml",
        ".yml": "application/yaml",
    }
)
_known = MimeTypes(())


def media_type_of(name: str) -> str:
    """Of something packed, as it is and not as what is in it."""
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    found, packed = _known.guess_type(f"file{ending}")
    return _MORE.get(ending) or (found if found and not packed else UNKNOWN)
