"""What foresight is asked and told about one call, and about the engines of a snapshot."""

from collections.abc import Iterable, Mapping

from nodes.snapshot import EngineId
from router.borders import scope_of
from router.decision import Candidate
from router.foresight import EngineFacts, Question
from router.prefix_index import BLOCK_TOKENS, chain_of
from router.rates import Bias, Learnt
from router.request import InferenceRequest
from router.scoring import CHARACTERS_PER_TOKEN

BLOCK_BYTES = BLOCK_TOKENS * CHARACTERS_PER_TOKEN


def question_of(request: InferenceRequest, choice: bool) -> Question:
    """Where there is no choice, nobody looks for the beginning of the prompt in caches."""
    arrival, parsed, tokens = request.arrival, request.parsed, request.prompt_tokens
    identity = arrival.identity
    kind, limit = (request.model, identity.key_id), parsed.output_tokens_limit
    if not choice:
        return Question(tokens or 1, kind, limit)
    text, named = parsed.prompt.read(), arrival.session or parsed.session
    if parsed.side is not None:
        named = None  # the conversation that it is about does not move with it
    return Question(
        tokens or 1,
        kind,
        limit,
        chain_of(scope_of(identity.tenant, request.classes), text, BLOCK_BYTES),
        None if named is None else f"{identity.key_id} {identity.user or ''} {named}",
        tokens * CHARACTERS_PER_TOKEN / len(text) if text else 1.0,
        identity.tenant,
        request.classes,
    )


def facts_of(candidates: Iterable[Candidate], learnt: Mapping[EngineId, Learnt]) -> Iterable[EngineFacts]:
    """With what was learnt of an engine by a gateway before this one, or before it was away."""
    for one in candidates:
        known, cache_tokens = learnt.get(one.engine_id), one.cache_tokens or one.slots * one.context_tokens
        yield EngineFacts(
            engine_id=one.engine_id,
            node_id=one.node_id,
            rates=one.rates,
            slots=one.slots,
            cache_tokens=cache_tokens,
            generation=one.generation,
            bias=known.bias if known is not None and known.rates == one.rates else Bias(),
            report=one.report,
            kept=known.kept if known is not None and known.cache_tokens == cache_tokens else 1.0,
        )
