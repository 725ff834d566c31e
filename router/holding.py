"""Whether a request waits here, and not at the engine that would get it. Pure.

Where requests wait here their order is ours, and they go to whoever is best when they begin.
"""

from typing import Literal

from router.cost import TERMS
from router.decision import Decision
from router.scoring import crowded_out, full

# So much is to be read before it. An engine in whose queue that lies reads without a pause until more is sent; what is
# more keeps those waiting who come later and have had less (bench/routing/fairness.py).
FAR_S = 4.0
WAIT = TERMS.index("wait")

Hold = Literal["turn", "room", "zone"]
"""turn: its engine has enough to do for now, and another request's may not. room: it needs cache that is promised to
others, and nobody may be let past it, or it would never get so much. zone: its model serves, but not where it may go:
it waits for an engine there, and is in nobody's way."""


def hold_of(decision: Decision) -> Hold | None:
    """None: it may go on, if only to hear that nobody serves it."""
    if not decision.places:
        return "room" if crowded_out(decision) else None
    best = decision.places[0]
    candidate, running = decision.entrants[best.at]
    in_seconds = decision.contest.policy == "seconds" and decision.contest.ask is not None
    far = in_seconds and running > 0 and best.amounts[WAIT] > FAR_S
    return "turn" if far or full(candidate, running) else None
