"""What `potluck rag` asks of this machine's gateway: spaces, which its wire calls vector stores, and their files."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx2
import msgspec

from cli.local_client import answer_to, local_client
from cli.rag_sharing import Terms
from inventory.paths import StatePaths
from router.knowledge.objects import (
    ContentPage,
    DifferenceObject,
    FolderList,
    FolderObject,
    SearchPage,
    StoreFileList,
    StoreFileObject,
    StoreList,
    StoreObject,
    UsualObject,
    VersionList,
    VersionObject,
)

PAGE = 100
NO_TERMS = Terms()
PATIENCE_S = 120.0  # an encoder may have to be started for a question

Answer = TypeVar("Answer", bound=msgspec.Struct)


class NoSuchSpaceError(Exception):
    """No space is called so, or several are. The command prints it and exits 4."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else "`potluck rag spaces` lists those there are"
        super().__init__(f"no space is called {name}; {hint}")
        self.name = name


class WhichSpaceError(Exception):
    """Several spaces are meant. The command prints it and exits 2."""

    def __init__(self, said: str, ids: Sequence[str]) -> None:
        super().__init__(f"{said}: say which, by its id: {', '.join(ids)}")
        self.ids = tuple(ids)


class NoSuchFileError(Exception):
    """The space has no such file. The command prints it and exits 4."""

    def __init__(self, name: str, space: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"`potluck rag ls --space {space}` lists those there are"
        super().__init__(f"{space} has no file {name}; {hint}")
        self.name = name


class _Uploaded(msgspec.Struct):
    id: str


class RagClient:
    """With the owner's key. Every method may raise GatewayRefusedError, NotRunningError."""

    def __init__(self, client: httpx2.Client, paths: StatePaths) -> None:
        self._client, self._paths = client, paths

    def spaces(self) -> list[StoreObject]:
        """The youngest first."""
        found: list[StoreObject] = []
        while True:
            after = {"after": found[-1].id} if found else {}
            page = self._get("v1/vector_stores", StoreList, {"limit": str(PAGE), **after})
            found += page.data
            if not page.has_more or not page.data:
                return found

    def space(self, name: str | None) -> StoreObject:
        """By its name or id; None: the only one. Raises NoSuchSpaceError, WhichSpaceError."""
        spaces = self.spaces()
        if name is None:
            if not spaces:
                raise NoSuchSpaceError("anything yet", ())
            if len(spaces) > 1:
                raise WhichSpaceError("there are several spaces", [space.name or space.id for space in spaces])
            return spaces[0]
        found = [space for space in spaces if name in (space.id, space.name)]
        if not found:
            raise NoSuchSpaceError(name, [space.name for space in spaces])
        if len(found) > 1:
            raise WhichSpaceError(f"{len(found)} spaces are called {name}", [space.id for space in found])
        return found[0]

    def make_space(
        self, name: str, encoder: str | None = None, description: str = "", terms: Terms = NO_TERMS
    ) -> StoreObject:
        more = terms.of_new() if encoder is None else {**terms.of_new(), "embedding_model": encoder}
        return self._post("v1/vector_stores", StoreObject, {"name": name, "description": description, **more})

    def share(self, space: StoreObject, terms: Terms) -> StoreObject:
        """The space as it is from now on."""
        change = terms.of_known(space)
        return self._post(f"v1/vector_stores/{space.id}", StoreObject, change) if change else space

    def drop_space(self, space_id: str) -> None:
        self._send("DELETE", f"v1/vector_stores/{space_id}")

    def files(self, space_id: str) -> list[StoreFileObject]:
        """The youngest first."""
        found: list[StoreFileObject] = []
        while True:
            after = {"after": found[-1].id} if found else {}
            page = self._get(f"v1/vector_stores/{space_id}/files", StoreFileList, {"limit": str(PAGE), **after})
            found += page.data
            if not page.has_more or not page.data:
                return found

    def file(self, space: StoreObject, name: str) -> StoreFileObject:
        """By its name or id. Raises NoSuchFileError."""
        files = self.files(space.id)
        found = next((file for file in files if name in (file.id, file.potluck.filename)), None)
        if found is None:
            raise NoSuchFileError(name, space.name or space.id, [file.potluck.filename for file in files])
        return found

    def file_now(self, space_id: str, file_id: str) -> StoreFileObject:
        return self._get(f"v1/vector_stores/{space_id}/files/{file_id}", StoreFileObject, {})

    def read_again(self, file: StoreFileObject) -> StoreFileObject:
        body = {"vector_store_id": file.vector_store_id, "file_id": file.id}
        return self._post("api/v1/rag/retry", StoreFileObject, body)

    def texts(self, file: StoreFileObject, version: int | None) -> list[str]:
        asked = {} if version is None else {"version": str(version)}
        page = self._get(f"v1/vector_stores/{file.vector_store_id}/files/{file.id}/content", ContentPage, asked)
        return [part.text for part in page.data]

    def upload(self, space_id: str, path: Path) -> StoreFileObject:
        with path.open("rb") as content:
            answer = self._send(
                "POST", "v1/files", data={"purpose": "assistants"}, files={"file": (path.name, content)}
            )  # fmt: skip
        file_id = msgspec.json.decode(answer, type=_Uploaded).id
        return self._post(f"v1/vector_stores/{space_id}/files", StoreFileObject, {"file_id": file_id})

    def add_folder(self, space_id: str, path: Path, watch: bool) -> FolderObject:
        body = {"vector_store_id": space_id, "path": str(path), "watch": watch}
        return self._post("api/v1/rag/folders", FolderObject, body)

    def folders(self) -> list[FolderObject]:
        return self._get("api/v1/rag/folders", FolderList, {}).data

    def versions(self, file: StoreFileObject) -> list[VersionObject]:
        """The oldest first."""
        return self._get(f"v1/vector_stores/{file.vector_store_id}/files/{file.id}/versions", VersionList, {}).data

    def difference(self, file: StoreFileObject, old: int | None, new: int | None) -> DifferenceObject:
        asked = {name: str(value) for name, value in (("from", old), ("to", new)) if value is not None}
        return self._get(f"v1/vector_stores/{file.vector_store_id}/files/{file.id}/diff", DifferenceObject, asked)

    def keep_history(self, space: StoreObject, versions: int | None, days: float | None) -> StoreObject:
        body = {"history": {"versions": versions, "days": days}}
        return self._post(f"v1/vector_stores/{space.id}", StoreObject, body)

    def search(self, space_id: str, query: str, most: int, as_of: str | None = None) -> SearchPage:
        body = {"query": query, "max_num_results": most, **({} if as_of is None else {"as_of": as_of})}
        return self._post(f"v1/vector_stores/{space_id}/search", SearchPage, body)

    def set_usual(self, space_id: str, models: Sequence[str], keys: Sequence[str]) -> UsualObject:
        body = {"vector_store_id": space_id, "models": list(models), "keys": list(keys)}
        return self._post("api/v1/rag/usual", UsualObject, body)

    def _get(self, path: str, kind: type[Answer], asked: dict[str, str]) -> Answer:
        return msgspec.json.decode(self._send("GET", path, params=asked), type=kind)

    def _post(self, path: str, kind: type[Answer], body: object) -> Answer:
        return msgspec.json.decode(self._send("POST", path, json=body), type=kind)

    def _send(self, method: str, path: str, **more: object) -> bytes:
        return answer_to(self._client, self._paths, method, path, **more)


@contextmanager
def rag_client(paths: StatePaths, patience_s: float = PATIENCE_S) -> Iterator[RagClient]:
    """Raises NotRunningError, ExposedSecretError."""
    with local_client(paths, patience_s) as client:
        yield RagClient(client, paths)
