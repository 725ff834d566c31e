"""The connection to a Weaviate server: where it is, whether it is new enough, and what its errors mean here."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import weaviate
from weaviate import WeaviateAsyncClient
from weaviate.classes.config import Configure, Property, StopwordsPreset, VectorDistances
from weaviate.classes.data import DataObject
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.exceptions import WeaviateBaseError

from inventory.secret_files import read_secret
from rag.stores.contract import StoreError
from rag.stores.weaviate_values import SPACE, Collection, chunks_name, tenant_of
from rag.values import Space

LEAST_VERSION = (1, 38)
AT_ONCE = 100  # objects of a request


@dataclass(frozen=True, slots=True)
class WeaviatePlace:
    """Where the server is. `prefix` tells its collections from those of others on it."""

    host: str
    port: int
    secure: bool
    grpc_host: str
    grpc_port: int
    api_key_file: Path | None = None
    prefix: str = "Potluck"

    def __str__(self) -> str:
        return (
            f"{'https' if self.secure else 'http'}://{self.host}:{self.port} (gRPC: {self.grpc_host}:{self.grpc_port})"
        )


class WeaviateServer:
    """It connects when it is first asked for something. Raises StoreError."""

    def __init__(self, place: WeaviatePlace) -> None:
        self.place = place
        self._client: WeaviateAsyncClient | None = None
        self._changing = asyncio.Lock()

    async def spaces(self) -> Collection:
        return (await self._connected()).collections.use(f"{self.place.prefix}Spaces")

    async def documents(self, space: Space) -> Collection:
        return await self._of(space, "Documents")

    async def chunks(self, space: Space) -> Collection:
        return await self._of(space, chunks_name(space))

    async def add(self, name: str, properties: Sequence[Property]) -> Collection:
        """The collection of this name, with tenants, made where there is none."""
        client = await self._connected()
        async with self._changing:
            return await _made(client, f"{self.place.prefix}{name}", properties, tenants=True)

    async def close(self) -> None:
        async with self._changing:
            if self._client is not None:
                await self._client.close()
                self._client = None

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Raises StoreError."""
        try:
            yield
        except (WeaviateBaseError, httpx.HTTPError) as error:
            raise StoreError(
                f"Weaviate at {self.place} did not do it ({error}); does it run, and is its key the one in "
                f"{self.place.api_key_file or '`rag.store.weaviate.api_key_file`, which names none'}?"
            ) from error

    async def _of(self, space: Space, name: str) -> Collection:
        collections = (await self._connected()).collections
        return collections.use(f"{self.place.prefix}{name}").with_tenant(tenant_of(space.space_id))

    async def _connected(self) -> WeaviateAsyncClient:
        async with self._changing:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> WeaviateAsyncClient:
        place = self.place
        key = read_secret(place.api_key_file) if place.api_key_file is not None else None
        client = weaviate.use_async_with_custom(
            place.host, place.port, place.secure, place.grpc_host, place.grpc_port, place.secure,
            auth_credentials=None if key is None else Auth.api_key(key),
            additional_config=AdditionalConfig(timeout=Timeout(init=10, query=60, insert=120)),
            skip_init_checks=True,  # one of them asks the index of Python's packages
        )  # fmt: skip
        try:
            await client.connect()
            refuse_old(str((await client.get_meta())["version"]), place)
            spaces = await _made(client, f"{place.prefix}Spaces", SPACE, tenants=False)
            await spaces.query.fetch_objects(limit=1)  # the other port answers too
        except BaseException:
            await client.close()
            raise
        return client


def refuse_old(version: str, place: WeaviatePlace) -> None:
    """Raises StoreError."""
    parts = version.split(".")
    if not all(part.isdigit() for part in parts[:2]) or tuple(map(int, parts[:2])) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise StoreError(f"Weaviate at {place} is version {version}; potluck needs {least} or newer: upgrade it")


async def save(collection: Collection, objects: Sequence[DataObject[Any, Any]]) -> None:
    """In place of those that have the same ids. Raises StoreError."""
    for at in range(0, len(objects), AT_ONCE):
        answer = await collection.data.insert_many(objects[at : at + AT_ONCE])
        for error in answer.errors.values():
            raise StoreError(f"Weaviate did not keep an object of {collection.name} ({error.message}); try it again")


async def _made(client: WeaviateAsyncClient, name: str, properties: Sequence[Property], tenants: bool) -> Collection:
    if not await client.collections.exists(name):
        await client.collections.create(
            name,
            properties=list(properties),
            inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
            multi_tenancy_config=Configure.multi_tenancy(tenants, auto_tenant_creation=False),
            vector_config=Configure.Vectors.self_provided(
                vector_index_config=Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE)
            ),
        )
    return client.collections.use(name)
