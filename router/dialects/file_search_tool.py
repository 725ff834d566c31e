"""The tool `file_search` as chats and responses write it: a closed schema, and what is asked by it."""

from typing import Annotated, Literal

from msgspec import Meta

from cluster.moments import NoMomentError, moment_of
from router.dialects.common import Closed, JsonObject, Share, check_size
from router.errors import ApiError, invalid
from router.file_search import FOUND, FileSearch

MOST_STORES = 32
FILTERS_BYTES = 16 * 1024

StoreIds = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(min_length=1, max_length=MOST_STORES)
]
Found = Annotated[int, Meta(ge=1, le=50)]
Weight = Annotated[float, Meta(ge=0, le=1_000_000)]
AsOf = Annotated[str, Meta(max_length=64)] | Annotated[float, Meta(ge=0, le=1e11)]
"""What held then is looked for, and not what holds. potluck's own field, beside OpenAI's."""


class HybridSearch(Closed):
    embedding_weight: Weight
    text_weight: Weight


class RankingOptions(Closed):
    """There is one ranker, whatever it is called; or none."""

    ranker: Literal["none", "auto", "default-2024-11-15", "default_2024_08_21"] | None = None
    score_threshold: Share | None = None
    hybrid_search: HybridSearch | None = None


class FileSearchSettings(Closed):
    """As some clients of chats write it, below the tool's name."""

    vector_store_ids: StoreIds | None = None
    max_num_results: Found | None = None
    filters: JsonObject | None = None
    ranking_options: RankingOptions | None = None
    as_of: AsOf | None = None


class FileSearchTool(Closed, tag_field="type", tag="file_search"):
    vector_store_ids: StoreIds | None = None
    max_num_results: Found | None = None
    filters: JsonObject | None = None
    ranking_options: RankingOptions | None = None
    as_of: AsOf | None = None


class FileSearchOffer(FileSearchTool, tag_field="type", tag="file_search"):
    """In a chat."""

    file_search: FileSearchSettings | None = None


class FileSearchChoice(Closed, tag_field="type", tag="file_search"):
    pass


def search_by(tool: FileSearchTool, param: str, results: bool = False) -> FileSearch:
    """Raises ApiError 400 that names the field."""
    inner = tool.file_search if isinstance(tool, FileSearchOffer) else None
    said = FileSearchSettings() if inner is None else inner
    stores, filters = tool.vector_store_ids or said.vector_store_ids, tool.filters or said.filters
    ranking = tool.ranking_options or said.ranking_options or RankingOptions()
    weights = ranking.hybrid_search
    field = f"{param}.vector_store_ids"
    if stores is None:
        raise invalid("the tool `file_search` needs `vector_store_ids`: which stores to look into", field)
    if filters is not None:
        check_size(filters, FILTERS_BYTES, f"{param}.filters")
    return FileSearch(
        tuple(dict.fromkeys(stores)),
        tool.max_num_results or said.max_num_results or FOUND,
        filters,
        ranking.score_threshold or 0.0,
        None
        if weights is None
        else alpha_of(weights.embedding_weight, weights.text_weight, f"{param}.ranking_options.hybrid_search"),
        results,
        field,
        ranking.ranker != "none",
        checked_moment(tool.as_of if tool.as_of is not None else said.as_of, f"{param}.as_of"),
    )


def checked_moment(as_of: str | float | None, param: str) -> str | float | None:
    """As it was said: when it is asked for, it counts from then. Raises ApiError 400."""
    if as_of is not None:
        try:
            moment_of(as_of, 0.0)
        except NoMomentError as error:
            raise invalid(str(error), param, "invalid_value") from None
    return as_of


def one_only(count: int) -> None:
    """Raises ApiError 400."""
    if count > 1:
        raise invalid("`tools` offers `file_search` more than once; name all stores in one", "tools")


def nothing_to_choose() -> ApiError:
    return invalid("there is no `file_search` among `tools` to choose", "tool_choice")


def alpha_of(embedding_weight: float, text_weight: float, param: str) -> float:
    """The vectors' part of the score: weights are told apart by their ratio. Raises ApiError 400 where both are 0."""
    both = embedding_weight + text_weight
    if not both:
        raise invalid("one of the weights is more than 0", param)
    return embedding_weight / both
