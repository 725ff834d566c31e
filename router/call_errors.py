"""Why a call ends without an answer, in words for its client: nobody can serve, a prompt too long, an engine broken."""

from collections.abc import Sequence
from math import ceil

from msgspec.structs import replace

from cluster.snapshot import ModelView
from nodes.relay.contract import Failure
from router.borders import NO_ELIGIBLE_NODE, words_of, zones_named
from router.capabilities import LACKING, can_do, doing, field_of
from router.cost import until_first_token_s
from router.decision import Candidate, Decision, ModelRoutes
from router.errors import ApiError, not_ready, saturated
from router.narrowing import OUTSIDE
from router.request import ENGINE_APIS, EngineApi, InferenceRequest, Parsed
from router.scoring import MOST_CHARACTERS_PER_TOKEN


def nobody(routes: ModelRoutes, decision: Decision, request: InferenceRequest) -> ApiError:
    """Why no engine can take a request for a model that exists."""
    name = routes.view.name
    if routes.zones is not None:
        if routes.outside:
            return not_there(name, routes.zones, request.classes)
        decision = replace(decision, rejected=[one for one in decision.rejected if not one[1].startswith(OUTSIDE)])
    reasons = [why for _, why in decision.rejected]
    if any(why.startswith("saturated") for why in reasons):
        return saturated(f"every engine of `{name}` is full")
    if reasons and all(why.startswith("context") for why in reasons):
        return ApiError(
            400,
            "context_length_exceeded",
            f"the prompt is too long for `{name}`: {reasons[0]}",
            request.parsed.prompt_field,
        )
    if reasons and all(why.startswith(LACKING) for why in reasons):
        return _unable(routes, request)
    why = "; ".join(reasons[:4]) or routes.view.reason or routes.view.state
    return not_ready(f"`{name}` has no engine ready: {why}")


def not_there(name: str, zones: frozenset[str], classes: frozenset[str]) -> ApiError:
    """No machine that may see the request serves this model, or is about to."""
    said = f"no machine of {zones_named(zones)} serves `{name}`, and {words_of(classes)} may go nowhere else"
    how = f"serve it there (`models.{name}.on`), or ask for a model that is served there"
    return ApiError(403, NO_ELIGIBLE_NODE, f"{said}; {how}", "model")


def _unable(routes: ModelRoutes, request: InferenceRequest) -> ApiError:
    """Names the field, as none of its engines does what it asks."""
    lacked = request.parsed.needs & frozenset.union(*(candidate.lacks for candidate in routes.candidates))
    fields = [field_of(feature, request.arrival.api) for feature in sorted(lacked)]
    what, instead = ", ".join(fields), "send texts" if lacked == {"token_ids"} else "leave it out"
    said = f"no engine of `{routes.view.name}` can do this ({what}); {instead}, or ask for a model with another engine"
    return ApiError(400, "unsupported_parameter", said, fields[0])


def wrong_kind(view: ModelView, api: EngineApi, others: Sequence[str]) -> ApiError:
    """A model that does something else. `others`: those that do what is asked, as far as this caller may know."""
    does = ", ".join(dict.fromkeys(doing(one) for one in ENGINE_APIS if can_do(one, view.capabilities)))
    here = ", ".join(f"`{name}`" for name in others) or "no model here"
    said = f"`{view.name}` is there to {does}, not to {doing(api)}; {here} {'are' if len(others) > 1 else 'is'}"
    return ApiError(400, "unsupported_by_model", said, "model")


def too_long_for(routes: ModelRoutes, parsed: Parsed) -> ApiError | None:
    """A prompt that cannot fit even when the model is there."""
    context = routes.view.context_tokens
    if context is None or parsed.prompt_characters <= context * MOST_CHARACTERS_PER_TOKEN:
        return None
    said = f"{parsed.prompt_characters} characters cannot fit {context} tokens"
    return ApiError(
        400, "context_length_exceeded", f"the prompt is too long for `{routes.view.name}`: {said}", parsed.prompt_field
    )


def too_late(request: InferenceRequest, decision: Decision, now_s: float) -> ApiError | None:
    """No engine is expected to begin its answer before its deadline, where seconds are known."""
    if request.deadline_s is None or decision.contest.ask is None or decision.contest.policy != "seconds":
        return None
    expected_s = min(until_first_token_s(place.amounts) for place in decision.places)
    late_s = now_s + expected_s - request.deadline_s
    if late_s <= 0:
        return None
    said = (
        f"`{request.model}` is expected to begin in {expected_s:.1f} s, after the deadline of this request; try again"
    )
    return saturated(said, max(1, ceil(late_s)))


def took_too_long(total_s: float) -> ApiError:
    return ApiError(504, "request_timeout", f"the answer took longer than {total_s:g} s")


def upstream_error(failure: Failure, candidate: Candidate) -> ApiError:
    where = f"engine {candidate.engine_id} on {candidate.node_id}"
    if failure.kind in ("first_byte_timeout", "stall"):
        return ApiError(504, "upstream_timeout", f"{where} stopped answering ({failure.detail}); try again")
    if failure.kind == "connect":
        return not_ready(f"{where} cannot be reached; try again", retry_s=1)
    return ApiError(502, "upstream_failure", f"{where} failed in mid-answer ({failure.detail}); try again")
