"""What `potluck privacy` asks of this machine's gateway about people."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx2
import msgspec

from cli.local_client import answer_to, local_client
from cluster.erasure import Person
from inventory.paths import StatePaths
from router.erasing.wire import ErasureObject, ErasureObjects, HoldingObjects, ReplayObject

PATIENCE_S = 3600.0  # every text of every version is read

Answer = TypeVar("Answer", bound=msgspec.Struct)


class PrivacyClient:
    """With the owner's key. Every method may raise GatewayRefusedError, NotRunningError."""

    def __init__(self, client: httpx2.Client, paths: StatePaths) -> None:
        self._client, self._paths = client, paths

    def preview(self, person: Person) -> HoldingObjects:
        return self._post("preview", HoldingObjects, _body(person))

    def export(self, person: Person) -> bytes:
        return self._send("POST", "export", _body(person))

    def erase(self, person: Person) -> ErasureObject:
        return self._post("erase", ErasureObject, _body(person))

    def erasures(self) -> ErasureObjects:
        return msgspec.json.decode(self._send("GET", "erasures", None), type=ErasureObjects)

    def replay(self, bundle: str) -> int:
        return self._post("replay", ReplayObject, {"list": bundle}).erasures

    def _post(self, deed: str, kind: type[Answer], body: object) -> Answer:
        return msgspec.json.decode(self._send("POST", deed, body), type=kind)

    def _send(self, method: str, deed: str, body: object) -> bytes:
        return answer_to(self._client, self._paths, method, f"api/v1/privacy/{deed}", json=body)


def _body(person: Person) -> dict[str, object]:
    return {
        "person": person.who,
        "identifiers": list(person.identifiers),
        "documents": list(person.documents),
        "documents_that_name_them": person.naming,
    }


@contextmanager
def privacy_client(paths: StatePaths) -> Iterator[PrivacyClient]:
    """Raises NotRunningError, ExposedSecretError."""
    with local_client(paths, PATIENCE_S) as client:
        yield PrivacyClient(client, paths)
