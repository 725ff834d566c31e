"""What the Weaviate store's objects look like: spaces, documents and chunks as properties, and filters as the server's.

An attribute of a document is written on each of its chunks as a word, by which equality is asked, and a number as a
property of its own as well, made when the first comes, so that the server compares it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from weaviate.classes.config import DataType, Property, Tokenization
from weaviate.classes.query import Filter as On
from weaviate.collections import CollectionAsync
from weaviate.collections.classes.filters import FilterReturn

from cluster.knowledge import Attribute, Locator
from rag.filters import Condition, Filter
from rag.values import Chunk, NewChunk, NewDocument, Space, SpaceId, Version, chunk_id_of
from rag.words import beginnings

FOREVER = 1e18  # when a version ends that is the newest
EVERYBODY, NOBODY = "[]", "null"  # words of attributes: one that every chunk has, and one that none has

Collection: TypeAlias = CollectionAsync[Any, Any]
Properties: TypeAlias = Mapping[str, Any]


def _kept(name: str, kind: DataType) -> Property:
    """A property that is only read back."""
    return Property(name=name, data_type=kind, index_filterable=False, index_searchable=False)


def _name(name: str, kind: DataType = DataType.TEXT) -> Property:
    """One that is compared as a whole."""
    return Property(
        name=name, data_type=kind, index_filterable=True, index_searchable=False, tokenization=Tokenization.FIELD
    )


def _words(name: str) -> Property:
    """One whose words are looked for."""
    return Property(
        name=name, data_type=DataType.TEXT, index_filterable=False, index_searchable=True,
        tokenization=Tokenization.WHITESPACE,
    )  # fmt: skip


def number(name: str) -> Property:
    """One that is compared by size."""
    return Property(name=name, data_type=DataType.NUMBER, index_filterable=True, index_range_filters=True)


SPACE = (
    _name("tenant"), _kept("name", DataType.TEXT), _kept("encoder", DataType.TEXT), _kept("dimensions", DataType.INT),
    _kept("data_class", DataType.TEXT), _kept("description", DataType.TEXT), _kept("made_s", DataType.NUMBER),
    Property(name="going", data_type=DataType.BOOL, index_filterable=True),
)  # fmt: skip
DOCUMENT = (_kept("versions", DataType.TEXT),)
CHUNK = (
    _name("document_id"), Property(name="number", data_type=DataType.INT, index_filterable=True),
    _kept("ordinal", DataType.INT), _kept("first", DataType.INT), _kept("past", DataType.INT),
    _kept("locator_kind", DataType.TEXT), _kept("locator_value", DataType.TEXT), _kept("heading", DataType.TEXT),
    _kept("text", DataType.TEXT), _words("words_heading"), _words("words_text"),
    _name("attributes", DataType.TEXT_ARRAY), number("made_s"), number("ended_s"),
)  # fmt: skip


class _Record(msgspec.Struct, frozen=True):
    """A version, as its document's object has it."""

    number: int
    document: NewDocument
    made_s: float
    ended_s: float | None
    chunks: int


_records = msgspec.json.Decoder(tuple[_Record, ...])


def tenant_of(space_id: SpaceId) -> str:
    """Of the server's own, for a space: 32 hexadecimal digits that tell nobody its name."""
    return hashlib.sha256(f"{space_id.tenant}\0{space_id.name}".encode()).hexdigest()[:32]


def row_id(space_id: SpaceId) -> UUID:
    return UUID(tenant_of(space_id))


def chunks_name(space: Space) -> str:
    """Of the collection that has chunks of this encoder."""
    told = f"{space.encoder} {space.dimensions}"
    return f"Chunks_{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def space_row(space: Space, going: bool) -> Properties:
    """`going`: it is being dropped."""
    return {
        "tenant": space.space_id.tenant, "name": space.space_id.name, "encoder": space.encoder,
        "dimensions": space.dimensions, "data_class": space.data_class, "made_s": space.made_s,
        "description": space.description, "going": going,
    }  # fmt: skip


def space_of(row: Properties) -> Space:
    return Space(
        SpaceId(row["tenant"], row["name"]), row["encoder"], int(row["dimensions"]), row["data_class"], row["made_s"],
        row["description"],
    )  # fmt: skip


def history_row(versions: Sequence[Version]) -> Properties:
    records = [_Record(one.number, one.document, one.made_s, one.ended_s, one.chunks) for one in versions]
    return {"versions": msgspec.json.encode(records).decode()}


def history_of(space_id: SpaceId, document_id: str, row: Properties) -> tuple[Version, ...]:
    """The oldest first. Empty: the document is being removed."""
    return tuple(
        Version(space_id, document_id, one.number, one.document, one.made_s, one.ended_s, one.chunks)
        for one in _records.decode(row["versions"])
    )


def chunk_row(version: Version, ordinal: int, chunk: NewChunk, numbers: Set[str]) -> Properties:
    """`numbers`: the properties that there are for attributes that are numbers."""
    attributes = version.document.attributes
    return {
        "document_id": version.document_id, "number": version.number, "ordinal": ordinal, "first": chunk.start,
        "past": chunk.end, "locator_kind": chunk.locator.kind, "locator_value": chunk.locator.value,
        "heading": chunk.heading, "text": chunk.text, "words_heading": beginnings(chunk.heading),
        "words_text": beginnings(chunk.text), "made_s": version.made_s,
        "ended_s": FOREVER if version.ended_s is None else version.ended_s,
        "attributes": [EVERYBODY, *(attribute_word(key, value) for key, value in sorted(attributes.items()))],
        **{
            number_property(key): float(value)
            for key, value in attributes.items()
            if is_number(value) and number_property(key) in numbers
        },
    }  # fmt: skip


def chunk_of(version: Version, row: Properties) -> Chunk:
    content = NewChunk(
        row["text"], int(row["first"]), int(row["past"]), Locator(row["locator_kind"], row["locator_value"]),
        row["heading"],
    )  # fmt: skip
    ordinal = int(row["ordinal"])
    return Chunk(chunk_id_of(version.document_id, version.number, ordinal), ordinal, content)


def server_filter(told: Filter, numbers: Set[str]) -> FilterReturn | None:
    """What the server can leave out by itself: never less than what is meant. None: nothing."""
    if not isinstance(told, Condition):
        parts = [server_filter(one, numbers) for one in told.filters]
        known = [one for one in parts if one is not None]
        if told.type == "and":
            return On.all_of(known) if known else None
        return On.any_of(known) if len(known) == len(parts) else None
    values = told.value if isinstance(told.value, tuple) else (told.value,)
    among = On.by_property("attributes")
    if told.type in ("eq", "in"):
        return among.contains_any([attribute_word(told.key, one) for one in values] or [NOBODY])
    if told.type in ("ne", "nin"):
        return among.contains_none([attribute_word(told.key, one) for one in values]) if values else None
    (value,) = values
    if not is_number(value) or number_property(told.key) not in numbers:
        return None
    sized = On.by_property(number_property(told.key))
    compared = {
        "gt": sized.greater_than, "gte": sized.greater_or_equal, "lt": sized.less_than, "lte": sized.less_or_equal
    }  # fmt: skip
    return compared[told.type](float(value))


def attribute_word(key: str, value: Attribute) -> str:
    """An attribute as one word: its kind is told by how JSON writes it."""
    return json.dumps([key, value if isinstance(value, str | bool) else float(value) + 0.0])


def number_property(key: str) -> str:
    return f"number_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def is_number(value: Attribute) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_id(document_id: str) -> bool:
    """The client refuses to ask for what is none."""
    try:
        UUID(document_id)
    except ValueError:
        return False
    return True
