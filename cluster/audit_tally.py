"""Refusals, counted: the first of a kind is told at once, those that follow within a minute as one number.

So a scan of the network writes a few records a minute, whatever it sends.
"""

from dataclasses import dataclass

from cluster.audit_records import STRANGER, Action, Actor, AuditEvent, Personal

WINDOW_S = 60.0
MOST_KINDS = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """`key_id` is what was claimed, not what was proved."""

    action: Action
    cause: str
    key_id: str = ""
    address: str = ""
    target: str = ""


@dataclass(slots=True)
class _Window:
    ends_s: float
    more: int = 0


class RefusalTally:
    """Owned by one task. Beyond MOST_KINDS at a time only the cause is told apart."""

    def __init__(self, window_s: float = WINDOW_S, most_kinds: int = MOST_KINDS) -> None:
        self._window_s, self._most_kinds = window_s, most_kinds
        self._windows: dict[Refusal, _Window] = {}

    def note(self, refusal: Refusal, now_s: float) -> Refusal | None:
        """What is to be told at once, or None where it was counted."""
        if refusal not in self._windows and len(self._windows) >= self._most_kinds:
            refusal = Refusal(refusal.action, refusal.cause)
        window = self._windows.get(refusal)
        if window is None:
            self._windows[refusal] = _Window(now_s + self._window_s)
            return refusal
        window.more += 1
        return None

    def due(self, now_s: float) -> tuple[tuple[Refusal, int], ...]:
        """Kinds whose minute is over, with how many came after the first. Those that came alone are dropped."""
        ended = [refusal for refusal, window in self._windows.items() if window.ends_s <= now_s]
        counted = [(refusal, self._windows.pop(refusal).more) for refusal in ended]
        return tuple((refusal, more) for refusal, more in counted if more)


def event_of(refusal: Refusal, count: int) -> AuditEvent:
    actor = Actor("key", refusal.key_id) if refusal.key_id else STRANGER
    address = refusal.address
    personal = Personal(address_subject(address), (("address", address),)) if address else None
    details = (("cause", refusal.cause), ("count", count))
    return AuditEvent(refusal.action, "refused", actor, refusal.target, details=details, personal=personal)


def address_subject(address: str) -> str:
    """Whom an address is about, as `potluck audit erase` is told it."""
    return f"address:{address}"
