"""What the doors of privacy take and give, for the gateway's OpenAPI document. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from router.erasing.wire import ErasureObject, ErasureObjects, HoldingObjects, PersonBody, ReplayBody, ReplayObject
from router.openapi_documents import Row

_ASKED = {"413": "TooLarge"}
PRIVACY_ROUTES: Mapping[str, Row] = MappingProxyType(
    {
        "/api/v1/privacy/preview": ("What is kept of a person.", PersonBody, HoldingObjects, "By place.", _ASKED),
        "/api/v1/privacy/export": ("All of it, to be handed over.", PersonBody, HoldingObjects, "A zip.", _ASKED),
        "/api/v1/privacy/erase": ("Erase it everywhere.", PersonBody, ErasureObject, "What went.", _ASKED),
        "/api/v1/privacy/erasures": ("What was erased, without whom.", None, ErasureObjects, "The list.", {}),
        "/api/v1/privacy/replay": ("Erase once more.", ReplayBody, ReplayObject, "It has begun.", _ASKED),
    }
)
