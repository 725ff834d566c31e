"""What the dashboard's routes ask of the head, over its private socket: its answers, or why there is none."""

from collections.abc import Awaitable
from typing import TypeVar

from cluster.admin_client import AdminRefusedError, HeadUnreachableError
from cluster.behalf import Behalf
from router.errors import ApiError
from router.refusals import known_key_id
from router.request import PERSON, TOKEN_HOLDER, Identity

Answer = TypeVar("Answer")


async def of_the_head(answer: Awaitable[Answer], what: str) -> Answer:
    """Raises ApiError 503 where it is away, and whatever it refuses as it says it. `what` is "what fits"."""
    try:
        return await answer
    except HeadUnreachableError as error:
        away = ApiError(503, "head_away", f"{what} is the head's to say, and it does not answer")
        raise away.retry_after(2) from error
    except AdminRefusedError as error:
        raise ApiError(error.status, error.code, error.message) from error


def behalf_of(identity: Identity) -> Behalf:
    """Whom the head puts on record. Whoever an issuer names is a person."""
    key_id = known_key_id(identity)
    person = "" if key_id else identity.key_id.removeprefix(TOKEN_HOLDER).removeprefix(PERSON)
    return Behalf(key_id, identity.tenant, identity.role, person)
