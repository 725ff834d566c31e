"""What clients send to the doors to documents. Bodies only: router.knowledge.objects has the answers."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from cluster.grants import LONGEST, MOST_GRANTS
from cluster.knowledge import NEVER, Chunking, History
from cluster.moments import DAY_S
from cluster.pii.policy import Policy
from router.dialects.common import Closed, JsonObject
from router.dialects.file_search_tool import AsOf, RankingOptions, alpha_of
from router.errors import invalid

MOST_FILES = 500  # of one request
MOST_FOUND, FOUND = 50, 10
MOST_QUERIES = 8
MOST_ASKED = 100  # stores of one question
MOST_NAMES = 200

FileId = Annotated[str, Meta(min_length=1, max_length=100)]
Name = Annotated[str, Meta(max_length=256)]
Query = Annotated[str, Meta(min_length=1, max_length=16_384)]
AttributeName = Annotated[str, Meta(max_length=64)]
AttributeText = Annotated[str, Meta(max_length=512)]
Attributes = Annotated[dict[AttributeName, AttributeText | float | bool], Meta(max_length=16)]
Grants = Annotated[list[Annotated[str, Meta(max_length=LONGEST)]], Meta(max_length=MOST_GRANTS)]
Pairs = Annotated[dict[AttributeName, AttributeText], Meta(max_length=16)]


class ExpiresAfter(msgspec.Struct, forbid_unknown_fields=True):
    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=365)]


class ChunkSizes(msgspec.Struct, forbid_unknown_fields=True):
    max_chunk_size_tokens: Annotated[int, Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=2048)]


class AutoChunking(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="auto"):
    """As potluck cuts by itself."""


class StaticChunking(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="static"):
    static: ChunkSizes


class OtherChunking(msgspec.Struct, tag_field="type", tag="other"):
    """Told of files that are cut as potluck does."""


Strategy = AutoChunking | StaticChunking


class HistoryBody(msgspec.Struct, forbid_unknown_fields=True):
    """How long versions that ended are kept: so many of each file at most, for so many days. Null: without a bound."""

    versions: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    days: Annotated[float, Meta(gt=0, le=100_000)] | None = None

    def kept(self) -> History:
        return History(self.versions, None if self.days is None else self.days * DAY_S)


class StoreBody(Closed):
    """POST /v1/vector_stores. What is potluck's: `embedding_model` makes the vectors; without it, one that there is.
    Its maker owns it; `owners` and `readers` are others, as `key:ID`, `group:NAME`, `user:NAME`, `role:NAME` or
    `everyone`: of the tenant, of every tenant where the cluster's owner makes it. `data_class`: the privacy class of
    what is in it; without it, the maker's own. `licence`: whose the material is and on what terms, where it is
    licensed: who only reads finds passages, never a whole text. `pii`: what becomes of personal data in what is read
    into it, where cluster.yaml and keys are not stricter."""

    name: Name = ""
    description: AttributeText = ""
    file_ids: Annotated[list[FileId], Meta(max_length=MOST_FILES)] = field(default_factory=list)
    metadata: Pairs | None = None
    expires_after: ExpiresAfter | None = None
    chunking_strategy: Strategy | None = None
    embedding_model: Name | None = None
    owners: Grants = field(default_factory=list)
    readers: Grants = field(default_factory=list)
    data_class: Name | None = None
    licence: AttributeText = ""
    history: HistoryBody | None = None
    pii: Policy | None = None


class StoreChangeBody(Closed):
    """POST /v1/vector_stores/{id}. What is null stays as it is, but for `expires_after`, which ends. `owners` and
    `readers` take the place of those that it had; an empty `licence` makes the material plain again."""

    name: Name | None = None
    description: AttributeText | None = None
    metadata: Pairs | None = None
    expires_after: ExpiresAfter | UnsetType | None = UNSET
    owners: Grants | None = None
    readers: Grants | None = None
    data_class: Name | None = None
    licence: AttributeText | None = None
    history: HistoryBody | None = None
    pii: Policy | None = None

    @property
    def days(self) -> int | None:
        """As cluster.knowledge.StoreChange has them."""
        if self.expires_after is UNSET:
            return None
        return NEVER if self.expires_after is None else self.expires_after.days


class FileBody(Closed):
    """POST /v1/vector_stores/{id}/files, and each of the `files` of a batch."""

    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: Strategy | None = None


class AttributesBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/vector_stores/{id}/files/{file_id}: they take the place of those that it had."""

    attributes: Attributes | None


class BatchOfFilesBody(Closed):
    """POST /v1/vector_stores/{id}/file_batches: `file_ids`, with what holds for all of them, or `files`."""

    file_ids: Annotated[list[FileId], Meta(min_length=1, max_length=MOST_FILES)] | None = None
    files: Annotated[list[FileBody], Meta(min_length=1, max_length=MOST_FILES)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: Strategy | None = None

    def each(self) -> list[FileBody]:
        """Raises ApiError 400."""
        if (self.file_ids is None) == (self.files is None):
            raise invalid("one of `file_ids` and `files`, and not both", "file_ids")
        if self.files is not None:
            if self.attributes is not None or self.chunking_strategy is not None:
                raise invalid("with `files`, each of them has its own `attributes` and `chunking_strategy`", "files")
            return self.files
        return [FileBody(file_id, self.attributes, self.chunking_strategy) for file_id in self.file_ids or ()]


class SearchBody(Closed):
    """POST /v1/vector_stores/{id}/search. `rewrite_query` is taken, and nothing is rewritten: `search_query` of the
    answer has what was looked for. `as_of` is potluck's: what held then is looked for."""

    query: Query | Annotated[list[Query], Meta(min_length=1, max_length=MOST_QUERIES)]
    filters: JsonObject | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=MOST_FOUND)] = FOUND
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = False
    as_of: AsOf | None = None

    @property
    def queries(self) -> list[str]:
        return [self.query] if isinstance(self.query, str) else list(dict.fromkeys(self.query))

    @property
    def least_score(self) -> float:
        return (self.ranking_options.score_threshold if self.ranking_options is not None else None) or 0.0

    @property
    def rerank(self) -> bool:
        return self.ranking_options is None or self.ranking_options.ranker != "none"

    @property
    def alpha(self) -> float | None:
        """The vectors' part of the score; None: potluck's own. Raises ApiError 400."""
        weights = self.ranking_options.hybrid_search if self.ranking_options is not None else None
        if weights is None:
            return None
        return alpha_of(weights.embedding_weight, weights.text_weight, "ranking_options.hybrid_search")


class QuestionBody(Closed):
    """POST /api/v1/rag/search."""

    query: Query
    vector_store_ids: Annotated[list[FileId], Meta(min_length=1, max_length=MOST_ASKED)]
    max_num_results: Annotated[int, Meta(ge=1, le=MOST_FOUND)] = FOUND
    as_of: AsOf | None = None


class AgainBody(Closed):
    """POST /api/v1/rag/retry."""

    vector_store_id: FileId
    file_id: FileId


class FolderBody(Closed):
    """POST /api/v1/rag/folders. `path` is absolute, on the gateway's machine; `watch` reads it again as it changes."""

    vector_store_id: FileId
    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    watch: bool = True


class UsualBody(Closed):
    """POST /api/v1/rag/usual: for these models, whoever asks, and these keys, whatever they ask; or for nobody."""

    vector_store_id: FileId
    models: Annotated[list[Name], Meta(max_length=MOST_NAMES)] = field(default_factory=list)
    keys: Annotated[list[Name], Meta(max_length=MOST_NAMES)] = field(default_factory=list)


def chunking_of(strategy: Strategy | None) -> Chunking | None:
    """Raises ApiError 400."""
    if not isinstance(strategy, StaticChunking):
        return None
    sizes = strategy.static
    if sizes.chunk_overlap_tokens * 2 > sizes.max_chunk_size_tokens:
        field = "chunking_strategy.static.chunk_overlap_tokens"
        raise invalid("chunks overlap by half of `max_chunk_size_tokens` at the most", field, "invalid_value")
    return Chunking(sizes.max_chunk_size_tokens, sizes.chunk_overlap_tokens)
