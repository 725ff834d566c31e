"""Why a call ends without an answer, in words for its client: nobody can serve, a prompt too long, an engine broken."""

from nodes.relay.contract import Failure
from router.decision import Candidate, Decision, ModelRoutes
from router.errors import ApiError, not_ready, saturated
from router.request import Parsed
from router.scoring import MOST_CHARACTERS_PER_TOKEN


def nobody(routes: ModelRoutes, decision: Decision) -> ApiError:
    """Why no engine can take a request for a model that exists."""
    reasons = [why for _, why in decision.rejected]
    name = routes.view.name
    if any(why.startswith("saturated") for why in reasons):
        return saturated(f"every engine of `{name}` is full")
    if reasons and all(why.startswith("context") for why in reasons):
        return ApiError(
            400, "context_length_exceeded", f"the prompt is too long for `{name}`: {reasons[0]}", "messages"
        )
    why = "; ".join(reasons[:4]) or routes.view.reason or routes.view.state
    return not_ready(f"`{name}` has no engine ready: {why}")


def too_long_for(routes: ModelRoutes, parsed: Parsed) -> ApiError | None:
    """A prompt that cannot fit even when the model is there."""
    context = routes.view.context_tokens
    if context is None or parsed.prompt_characters <= context * MOST_CHARACTERS_PER_TOKEN:
        return None
    said = f"{parsed.prompt_characters} characters cannot fit {context} tokens"
    return ApiError(
        400, "context_length_exceeded", f"the prompt is too long for `{routes.view.name}`: {said}", "messages"
    )


def upstream_error(failure: Failure, candidate: Candidate) -> ApiError:
    where = f"engine {candidate.engine_id} on {candidate.node_id}"
    if failure.kind in ("first_byte_timeout", "stall"):
        return ApiError(504, "upstream_timeout", f"{where} stopped answering ({failure.detail}); try again")
    if failure.kind == "connect":
        return not_ready(f"{where} cannot be reached; try again", retry_s=1)
    return ApiError(502, "upstream_failure", f"{where} failed in mid-answer ({failure.detail}); try again")
