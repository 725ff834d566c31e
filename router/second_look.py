"""Whether an engine that nobody asks deserves another look: what made it seem slow may be over, or never was so.

Only a request can tell, and as long as it seems slow none goes there. So the longer nobody sees it, the faster it is
hoped to be, until one finds it worth trying. What that one sees settles it.
"""

PATIENCE_S, LONGEST_PATIENCE_S = 600.0, 14_400.0  # without a request, before hope begins; doubled each time it was vain
LEAST_HOPE = 0.2  # of the seconds that were learnt: what is slower than that in truth is not tried
BETTER = 0.8  # of them, or less: the hope was right


class SecondLook:
    """At one engine. `hope` is a factor on what was learnt of its seconds; 1.0 where there is no doubt."""

    __slots__ = ("hope", "patience_s", "seen_s")

    def __init__(self) -> None:
        self.hope, self.patience_s = 1.0, PATIENCE_S
        self.seen_s: float | None = None  # when its last request ended, or when it was first looked at

    def idle(self, now_s: float) -> None:
        """Nobody asks it."""
        if self.seen_s is None:
            self.seen_s = now_s
        patient_for = (now_s - self.seen_s) / self.patience_s
        if patient_for > 1.0:
            self.hope = min(self.hope, max(0.5 ** (patient_for - 1.0), LEAST_HOPE))

    def saw(self, now_s: float, ratio: float | None) -> None:
        """A request ended, which took so much of the seconds that were learnt; None where that does not show."""
        self.seen_s = now_s
        if self.hope == 1.0:
            return
        if ratio is not None and ratio < BETTER:
            self.hope, self.patience_s = max(ratio, LEAST_HOPE), PATIENCE_S
        else:
            self.hope, self.patience_s = 1.0, min(2 * self.patience_s, LONGEST_PATIENCE_S)
