"""Which engine should serve a request, and why: candidates and live counts in, a Decision out."""

from collections.abc import Collection, Mapping

from nodes.snapshot import EngineId
from router.decision import Candidate, Decision, ModelRoutes, Rejection, ScoreBreakdown
from router.request import Parsed

CHARACTERS_PER_TOKEN = 4  # typical; used to prefer
MOST_CHARACTERS_PER_TOKEN = 16  # generous; used to refuse, and the engine has the last word
QUEUE_PER_SLOT = 8
SMALLEST_CEILING = 256
CROWDED = "kv"  # begins the reason of an engine whose cache is promised to other requests
NOTHING: Mapping[EngineId, int] = {}


def decide(
    routes: ModelRoutes,
    parsed: Parsed,
    in_flight: Mapping[EngineId, int],
    ejected: Mapping[EngineId, str],
    tried: Collection[EngineId] = (),
    promised: Mapping[EngineId, int] = NOTHING,
) -> Decision:
    """Filter, score, rank. Ties go to the lower id, so a replay agrees with the log.

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
            broken.append(_score(candidate, running))
        elif candidate.last_resort:
            resort.append(_score(candidate, running))
        else:
            fit.append(_score(candidate, running))
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
    return Decision(ranked, rejected, _reason(ranked, tried))


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


def _score(candidate: Candidate, running: int) -> ScoreBreakdown:
    """Requests per slot stand for the expected wait in seconds until engines have a measured rate."""
    wait_s = (running + 1) / candidate.slots
    standing = candidate.standing_terms
    if not standing:
        return ScoreBreakdown(wait_s, candidate.engine_id, candidate, (("wait", wait_s),))
    total_s = wait_s + sum(seconds for _, seconds in standing)
    return ScoreBreakdown(total_s, candidate.engine_id, candidate, (("wait", wait_s), *standing))


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


def _reason(ranked: list[ScoreBreakdown], tried: Collection[EngineId]) -> str:
    if not ranked:
        return "nobody"
    if tried:
        return "fallback"
    return "only_fit" if len(ranked) == 1 else "least_loaded"
