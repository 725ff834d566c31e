"""Which engine should serve a request, and why: candidates and live counts in, a Decision out."""

from collections.abc import Collection, Mapping, Sequence

from nodes.snapshot import EngineId
from router.capabilities import lacking
from router.cost import Prospect
from router.decision import POLICY_REASONS, Candidate, Decision, Entrant, ModelRoutes, Rejection, RouteReason
from router.ranking import Contender, Contest, rank
from router.request import Parsed

CHARACTERS_PER_TOKEN = 4  # typical; used to prefer
MOST_CHARACTERS_PER_TOKEN = 16  # generous; used to refuse, and the engine has the last word
QUEUE_PER_SLOT = 8
SMALLEST_CEILING = 256
CROWDED = "kv"  # begins the reason of an engine whose cache is promised to other requests
AHEAD = 1  # beyond its slots, so that none is empty for the length of a way
NOTHING: Mapping[EngineId, int] = {}


def decide(  # noqa: PLR0913 - a wrapper around the live counts would be made anew for each request
    routes: ModelRoutes,
    parsed: Parsed,
    in_flight: Mapping[EngineId, int],
    ejected: Mapping[EngineId, str],
    tried: Collection[EngineId] = (),
    promised: Mapping[EngineId, int] = NOTHING,
    prospect: Prospect | None = None,
    turn: int = 0,
) -> Decision:
    """Filter, score, rank. Ties go to the lower id, so a replay agrees with the log.

    With a prospect the score is seconds, and near ties go to where the request's session lives, then to the less busy.
    Without one, because nobody has measured these engines yet, requests per slot stand for the wait. Where cluster.yaml
    names another policy, that one ranks, and the filters stay; `turn` is what it has of chance.

    Engines of last resort (of a suspect machine, say) are for when no other can serve. Those that this gateway found
    broken come after them instead of never: when all are, trying one is how a request learns first that it is back.
    """
    # Most requests fit wherever they may go, which one look tells.
    small = parsed.prompt_characters <= routes.smallest_context * MOST_CHARACTERS_PER_TOKEN
    plain = small and routes.plain and not (tried or parsed.needs or ejected)
    rejected: list[Rejection] = list(routes.rejected)
    entrants: list[Entrant] = []
    for candidate in routes.candidates:
        running = in_flight.get(candidate.engine_id, 0)
        plain = plain and running < SMALLEST_CEILING
        entrants.append((candidate, running))
    if not plain:
        entrants = _passed(entrants, parsed, ejected, tried, promised, rejected)
    if len(entrants) > 1:
        entrants = _narrowed(routes, parsed, entrants, rejected)
    contest = _contest(routes, entrants, promised, prospect, turn)
    reason = _reason(contest, tried, parsed.side is not None)
    places = rank(contest)
    return Decision(
        entrants, places, rejected, reason, contest, entrants[places[0].at][0] if places else None, prospect
    )


def _passed(
    candidates: Sequence[Entrant],
    parsed: Parsed,
    ejected: Mapping[EngineId, str],
    tried: Collection[EngineId],
    promised: Mapping[EngineId, int],
    rejected: list[Rejection],
) -> list[Entrant]:
    """Without those that cannot or should not have it, which are rejected."""
    fit: list[Entrant] = []
    resort: list[Entrant] = []
    broken: list[Entrant] = []
    for entrant in candidates:
        candidate, running = entrant
        why = _unfit(candidate, parsed, running, tried)
        if why is None and candidate.cache_tokens:
            why = _crowded(candidate, parsed, running, promised.get(candidate.engine_id, 0))
        if why is not None:
            rejected.append((candidate.engine_id, why))
        elif candidate.engine_id in ejected:
            broken.append(entrant)
        elif candidate.last_resort:
            resort.append(entrant)
        else:
            fit.append(entrant)
    entrants = fit or resort or broken
    if fit and resort:
        rejected.extend((candidate.engine_id, candidate.last_resort) for candidate, _ in resort)
    if broken and entrants is not broken:
        rejected.extend((candidate.engine_id, ejected[candidate.engine_id]) for candidate, _ in broken)
    return entrants


def _unfit(candidate: Candidate, parsed: Parsed, running: int, tried: Collection[EngineId]) -> str | None:
    if tried and candidate.engine_id in tried:
        return "tried"
    if parsed.prompt_characters > candidate.context_tokens * MOST_CHARACTERS_PER_TOKEN:
        return f"context: {parsed.prompt_characters} characters cannot fit {candidate.context_tokens} tokens"
    if parsed.needs and (why := lacking(parsed.needs, candidate.lacks)) is not None:
        return why
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
    return not decision.places and any(why.startswith(CROWDED) for _, why in decision.rejected)


def _crowded(candidate: Candidate, parsed: Parsed, running: int, promised: int) -> str | None:
    """A request that would be alone is let in: its context fits, or the engine says so."""
    if not running or promised + projected_tokens(parsed, candidate.context_tokens) <= candidate.cache_tokens:
        return None
    to = "1 request" if running == 1 else f"{running} requests"
    return f"{CROWDED}: {promised:,} of {candidate.cache_tokens:,} tokens are promised to {to}"


def _contest(
    routes: ModelRoutes,
    entrants: list[Entrant],
    promised: Mapping[EngineId, int],
    prospect: Prospect | None,
    turn: int,
) -> Contest:
    """As far as its policy looks at anything."""
    policy, ask = routes.policy, prospect.ask if prospect is not None else None
    if policy == "seconds":
        standings = prospect.standings if prospect is not None else {}
        contenders = []
        for candidate, running in entrants:
            engine_id = candidate.engine_id
            standing = standings[engine_id] if standings else None
            contenders.append(Contender(engine_id, candidate.slots, running, standing, candidate.standing_terms))
        return Contest(policy, turn, len(entrants), ask, contenders)
    entrants.sort(key=lambda entrant: entrant[0].engine_id)
    contenders = [_counted(candidate, running, place, promised) for place, (candidate, running) in enumerate(entrants)]
    return Contest(policy, turn, len(entrants), ask, contenders)


def _counted(candidate: Candidate, running: int, place: int, promised: Mapping[EngineId, int]) -> Contender:
    """With what policies look at that know no seconds. A slot with a context of its own is taken or free."""
    cache, held = candidate.cache_tokens, promised.get(candidate.engine_id, 0)
    if not cache:
        cache, held = candidate.slots * candidate.context_tokens, running * candidate.context_tokens
    return Contender(candidate.engine_id, candidate.slots, running, place=place, cache_tokens=cache, held_tokens=held)


def full(candidate: Candidate, running: int) -> bool:
    """It has as much to do as it can do at once."""
    return running >= candidate.slots + AHEAD


def _narrowed(routes: ModelRoutes, parsed: Parsed, entrants: list[Entrant], rejected: list[Rejection]) -> list[Entrant]:
    """Without those that are worse than others in what no policy weighs."""
    expected = parsed.prompt_characters // CHARACTERS_PER_TOKEN + (parsed.output_tokens_limit or 0)
    if expected > routes.smallest_context:
        entrants = _roomy(entrants, expected, rejected)
    return entrants if routes.policy == "seconds" else _free(entrants, rejected)


def _free(entrants: list[Entrant], rejected: list[Rejection]) -> list[Entrant]:
    """A policy that knows no seconds does not know when waiting for one is better than going to another."""
    free = [entrant for entrant in entrants if not full(*entrant)]
    if not free or len(free) == len(entrants):
        return entrants
    taken = [entrant for entrant in entrants if full(*entrant)]
    rejected.extend((candidate.engine_id, f"full: {running} requests in flight") for candidate, running in taken)
    return free


def _roomy(entrants: list[Entrant], expected: int, rejected: list[Rejection]) -> list[Entrant]:
    """Leave out engines whose context is probably too small for the tokens expected, if others have room."""
    roomy = [entrant for entrant in entrants if entrant[0].context_tokens >= expected]
    if not roomy or len(roomy) == len(entrants):
        return entrants
    for candidate, _ in entrants:
        context = candidate.context_tokens
        if context < expected:
            rejected.append((candidate.engine_id, f"context: about {expected} tokens, has {context}"))
    return roomy


def _reason(contest: Contest, tried: Collection[EngineId], aside: bool) -> RouteReason:
    if not contest.of:
        return "nobody"
    if tried:
        return "fallback"
    if aside:
        return "side_call"
    if contest.of == 1:
        return "only_fit"
    if contest.policy == "seconds" and contest.ask is None:
        return "least_loaded"
    return POLICY_REASONS[contest.policy]
