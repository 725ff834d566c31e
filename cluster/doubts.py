"""What gateways found out about engines that their own nodes take for well, and when it is acted on.

An engine may hang in a way that its node cannot see: its counters stand still because, as far as they know, it is idle.
"""

from dataclasses import dataclass

from nodes.snapshot import EngineId, EngineSnapshot

MOVES_S = 10.0  # counters that moved so recently are better proof than a gateway's patience


@dataclass(frozen=True, slots=True)
class EngineDoubt:
    """This start of this engine took a request for one token and said nothing for as long as `reason` says."""

    engine_id: EngineId
    generation: int
    reason: str


def is_borne_out(doubt: EngineDoubt, engine: EngineSnapshot) -> bool:
    """Nothing that the engine's node reports speaks against it."""
    same = (engine.engine_id, engine.generation) == (doubt.engine_id, doubt.generation)
    moves = engine.progress_age_s is not None and engine.progress_age_s < MOVES_S
    return same and engine.state == "ready" and not moves
