"""Which engine should serve a request, and why: candidates and live counts in, a Decision out."""

from collections.abc import Collection, Mapping

from nodes.snapshot import EngineId
from router.cost import Prospect, cost
from router.decision import Candidate, Decision, ModelRoutes, Rejection, ScoreBreakdown
from router.request import Parsed

CHARACTERS_PER_TOKEN = 4  # typical; used to prefer
MOST_CHARACTERS_PER_TOKEN = 16  # generous; used to refuse, and the engine has the last word
QUEUE_PER_SLOT = 8
SMALLEST_CEILING = 256
CROWDED = "kv"  # begins the reason of an engine whose cache is promised to other requests
NOTHING: Mapping[EngineId, int] = {}
TIE_S = 0.05  # predictions are not better than this,
TIE = 0.05  # nor than this share of the cost


def decide(  # noqa: PLR0913 - a wrapper around the live counts would be made anew for each request
    routes: ModelRoutes,
    parsed: Parsed,
    in_flight: Mapping[EngineId, int],
    ejected: Mapping[EngineId, str],
    tried: Collection[EngineId] = (),
    promised: Mapping[EngineId, int] = NOTHING,
    prospect: Prospect | None = None,
) -> Decision:
    """Filter, score, rank. Ties go to the lower id, so a replay agrees with the log.

    With a prospect the score is seconds, and near ties go to where the request's session lives, then to the less busy.
    Without one, because nobody has measured these engines yet, requests per slot stand for the wait.

    Engines of last resort (of a suspect machine, say) are for when no other can serve. Those that this gateway found
    broken come after them instead of never: when all are, trying one is how a request learns first that it is back.
    """
    fit: list[ScoreBreakdown] = []
    resort: list[ScoreBreakdown] = []
    broken: list[ScoreBreakdown] = []
    rejected: list[Rejection] = list(routes.rejected)
    for candidate in routes.candidates:
        engine_id = candidate.engine_id
        running = in_flight.get(engine_id, 0)
        why = _unfit(candidate, parsed, running, tried)
        if why is None and candidate.cache_tokens:
            why = _crowded(candidate, parsed, running, promised.get(engine_id, 0))
        if why is not None:
            rejected.append((engine_id, why))
        elif engine_id in ejected:
            broken.append(_score(candidate, running, prospect))
        elif candidate.last_resort:
            resort.append(_score(candidate, running, prospect))
        else:
            fit.append(_score(candidate, running, prospect))
    ranked = fit or resort or broken
    if fit and resort:
        rejected.extend((score.engine_id, score.candidate.last_resort) for score in resort)
    if broken and ranked is not broken:
        rejected.extend((score.engine_id, ejected[score.engine_id]) for score in broken)
    if len(ranked) > 1:
        expected = parsed.prompt_characters // CHARACTERS_PER_TOKEN + (parsed.output_tokens_limit or 0)
        if expected > routes.smallest_context:
            ranked = _roomy(ranked, expected, rejected)
        ranked.sort()
        _settle_tie(ranked, prospect)
    return Decision(ranked, rejected, _reason(ranked, tried, prospect))


def _unfit(candidate: Candidate, parsed: Parsed, running: int, tried: Collection[EngineId]) -> str | None:
    if tried and candidate.engine_id in tried:
        return "tried"
    if parsed.prompt_characters > candidate.context_tokens * MOST_CHARACTERS_PER_TOKEN:
        return f"context: {parsed.prompt_characters} characters cannot fit {candidate.context_tokens} tokens"
    if running >= SMALLEST_CEILING and running >= QUEUE_PER_SLOT * candidate.slots:
        return f"saturated: {running} requests in flight"
    return None


def projected_tokens(parsed: Parsed, context_tokens: int) -> int:
    """What a request will hold of a cache at most: its prompt, and as much of an answer as it allows."""
    prompt = min(parsed.prompt_characters // CHARACTERS_PER_TOKEN, context_tokens)
    left = context_tokens - prompt
    return prompt + min(parsed.output_tokens_limit or left, left)


def crowded_out(decision: Decision) -> bool:
    """Nobody takes it, and an engine would that has promised its cache to others: one of these has to end first."""
    return not decision.ranked and any(why.startswith(CROWDED) for _, why in decision.rejected)


def _crowded(candidate: Candidate, parsed: Parsed, running: int, promised: int) -> str | None:
    """A request that would be alone is let in: its context fits, or the engine says so."""
    if not running or promised + projected_tokens(parsed, candidate.context_tokens) <= candidate.cache_tokens:
        return None
    to = "1 request" if running == 1 else f"{running} requests"
    return f"{CROWDED}: {promised:,} of {candidate.cache_tokens:,} tokens are promised to {to}"


def _score(candidate: Candidate, running: int, prospect: Prospect | None) -> ScoreBreakdown:
    if prospect is not None:
        terms = cost(prospect.ask, prospect.standings[candidate.engine_id])
    else:
        terms = (("wait", (running + 1) / candidate.slots),)
    if candidate.standing_terms:
        terms = (*terms, *candidate.standing_terms)
    total_s = 0.0
    for _, seconds in terms:
        total_s += seconds
    return ScoreBreakdown(total_s, candidate.engine_id, candidate, terms)


def _settle_tie(ranked: list[ScoreBreakdown], prospect: Prospect | None) -> None:
    """Between costs that are as good as equal, where its session lives decides, then who has less to do and to keep."""
    if prospect is None or len(ranked) < 2:
        return
    limit_s = ranked[0].total_s + max(TIE_S, TIE * ranked[0].total_s)
    if ranked[1].total_s > limit_s:
        return
    tied = [score for score in ranked if score.total_s <= limit_s]
    standings = prospect.standings

    def order(score: ScoreBreakdown) -> tuple[bool, int, int]:
        standing = standings[score.engine_id]
        return not standing.home, standing.in_flight, standing.live_tokens

    tied.sort(key=order)
    ranked[: len(tied)] = tied


def _roomy(scores: list[ScoreBreakdown], expected: int, rejected: list[Rejection]) -> list[ScoreBreakdown]:
    """Leave out engines whose context is probably too small for the tokens expected, if others have room."""
    roomy = [score for score in scores if score.candidate.context_tokens >= expected]
    if not roomy or len(roomy) == len(scores):
        return scores
    for score in scores:
        context = score.candidate.context_tokens
        if context < expected:
            rejected.append((score.engine_id, f"context: about {expected} tokens, has {context}"))
    return roomy


def _reason(ranked: list[ScoreBreakdown], tried: Collection[EngineId], prospect: Prospect | None) -> str:
    if not ranked:
        return "nobody"
    if tried:
        return "fallback"
    if len(ranked) == 1:
        return "only_fit"
    return "least_loaded" if prospect is None else "least_cost"
