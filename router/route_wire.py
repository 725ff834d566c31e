"""What `POST /api/v1/route/explain` takes: a request by its sizes, of which only the decision is wanted."""

from typing import Annotated

import msgspec
from msgspec import Meta

MOST_TOKENS = 100_000_000


class RouteQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`output_tokens` is the most that the answer may have, `session` the conversation as its client names it,
    `data_classes` the privacy classes that it has beside its key's."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    prompt_tokens: Annotated[int, Meta(ge=1, le=MOST_TOKENS)]
    output_tokens: Annotated[int, Meta(ge=1, le=MOST_TOKENS)] | None = None
    session: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    data_classes: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=16)] = ()
