"""Conversations and where they live: known by a header, or by a prompt that continues an earlier one.

Their tokens are an engine's working set. One that was active a moment ago will probably be back, and reads everything
again if its engine has dropped it. How long a moment is, each session shows by its pauses: who comes back after three
seconds each time has probably ended after thirty, and a cache that counts the dead looks full to the living.
"""

from collections import OrderedDict
from collections.abc import Hashable
from math import inf
from typing import NewType

import msgspec

from nodes.snapshot import EngineId
from router.prefix_index import Chain

SessionId = NewType("SessionId", str)

ACTIVE_S = 90.0  # longer than this nobody is waited for, and so long while nothing is known of its pauses
LEAST_ACTIVE_S = 15.0  # a few quick turns do not say that nobody ever stops to think
PATIENCE = 4.0  # usual pauses without a turn: then it has probably ended
LEAST_PAUSE_GAIN = 0.25  # of one pause, once several were seen
MOST_SESSIONS = 8192


class Stay(msgspec.Struct, frozen=True):
    """One turn at one engine."""

    engine_id: EngineId
    tokens: int  # that its session will hold there
    now_s: float


class Session(msgspec.Struct):
    engine_id: EngineId
    tokens: int
    active_s: float
    turns: int
    quick: bool  # its next turn is expected soon
    tail: Hashable | None  # the last whole block of its last prompt
    blocks: int  # whole ones of its last prompt
    held_tokens: int = 0  # of its last prompt and the answer, once that was complete
    in_flight: int = 0  # of its turns
    pauses: int = 0  # that were seen
    pause_s: float = 0.0  # from an answer to the next turn, as a rule

    @property
    def until_s(self) -> float:
        """Its next turn is expected until then."""
        if self.in_flight:
            return inf
        if not self.pauses:
            return self.active_s + ACTIVE_S
        return self.active_s + min(max(PATIENCE * self.pause_s, LEAST_ACTIVE_S), ACTIVE_S)

    def paused(self, pause_s: float) -> None:
        self.pauses += 1
        self.pause_s += (pause_s - self.pause_s) * max(1.0 / self.pauses, LEAST_PAUSE_GAIN)


class _Residents:
    """Sessions that live on one engine and will probably be back."""

    __slots__ = ("look_s", "tokens", "total")

    def __init__(self) -> None:
        self.tokens: dict[SessionId, int] = {}
        self.total = 0
        self.look_s = inf  # nobody has ended before

    def add(self, session_id: SessionId, tokens: int) -> None:
        self.tokens[session_id] = tokens
        self.total += tokens

    def remove(self, session_id: SessionId) -> None:
        self.total -= self.tokens.pop(session_id, 0)


class Sessions:
    """Of all engines. Times are arguments and never run backwards."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[SessionId, Session] = OrderedDict()  # the longest idle first
        self._tails: dict[Hashable, SessionId] = {}
        self._residents: dict[EngineId, _Residents] = {}
        self._count = 0

    def recognise(self, name: str | None, chain: Chain) -> SessionId | None:
        """Which known session a prompt belongs to. One that only repeats an earlier prompt asks about the same text."""
        if name is not None:
            session_id = _named(name)
            return session_id if session_id in self._sessions else None
        for block in reversed(chain[:-1]):
            continued = self._tails.get(block)
            if continued is not None:
                return continued
        return None

    def get(self, session_id: SessionId | None) -> Session | None:
        return self._sessions.get(session_id) if session_id is not None else None

    def live_tokens(self, engine_id: EngineId, now_s: float, but: SessionId | None = None) -> int:
        """Of sessions that live on an engine and will probably be back."""
        residents = self._residents.get(engine_id)
        if residents is None:
            return 0
        if now_s > residents.look_s:
            until_s = {session_id: self._sessions[session_id].until_s for session_id in residents.tokens}
            for session_id in [one for one, at_s in until_s.items() if now_s > at_s]:
                residents.remove(session_id)
                del until_s[session_id]
            residents.look_s = min(until_s.values(), default=inf)
        return residents.total - (residents.tokens.get(but, 0) if but is not None else 0)

    def live_count(self, engine_id: EngineId, now_s: float) -> int:
        """How many these are."""
        self.live_tokens(engine_id, now_s)  # lets go of those that have ended
        residents = self._residents.get(engine_id)
        return len(residents.tokens) if residents is not None else 0

    def settle(self, session_id: SessionId | None, name: str | None, chain: Chain, stay: Stay) -> SessionId:
        """A turn goes to an engine."""
        known = self.get(session_id)
        tail = chain[-1] if chain else None
        session = Session(stay.engine_id, stay.tokens, stay.now_s, 1, name is not None, tail, len(chain), in_flight=1)
        if known is not None and session_id is not None:
            self._drop(session_id)
            self._continue(session, known)
        else:
            self._count += 1
            session_id = _named(name) if name is not None else SessionId(f"#{self._count}")
        self._sessions[session_id] = session
        if tail is not None and name is None:
            self._tails[tail] = session_id
        if session.quick:
            self._residents.setdefault(stay.engine_id, _Residents()).add(session_id, stay.tokens)
        if len(self._sessions) > MOST_SESSIONS:
            self._drop(next(iter(self._sessions)))
        return session_id

    def comes_back(self, session_id: SessionId | None, name: str | None, now_s: float) -> bool:
        """Soon: who names a session means to, and who came back soon the last time does as a rule."""
        session = self.get(session_id)
        return name is not None if session is None else now_s - session.active_s <= ACTIVE_S

    def touch(self, session_id: SessionId, now_s: float, held_tokens: int = 0) -> None:
        """Its turn ended, with so many tokens in prompt and answer: the time until the next one counts from here."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.active_s, session.held_tokens = now_s, held_tokens
            session.in_flight = max(session.in_flight - 1, 0)
            residents = self._residents.get(session.engine_id)
            if residents is not None:
                residents.look_s = min(residents.look_s, session.until_s)
            self._sessions.move_to_end(session_id)

    def engine_gone(self, engine_id: EngineId) -> None:
        """Its cache went with it."""
        self._residents.pop(engine_id, None)

    def _continue(self, session: Session, known: Session) -> None:
        """What its turns before this one say of it."""
        pause_s = session.active_s - known.active_s
        session.turns, session.quick, session.in_flight = known.turns + 1, pause_s <= ACTIVE_S, known.in_flight + 1
        session.pauses, session.pause_s = known.pauses, known.pause_s
        if not known.in_flight:
            session.paused(pause_s)

    def _drop(self, session_id: SessionId) -> None:
        session = self._sessions.pop(session_id)
        residents = self._residents.get(session.engine_id)
        if residents is not None:
            residents.remove(session_id)
        if session.tail is not None and self._tails.get(session.tail) == session_id:
            del self._tails[session.tail]


def _named(name: str) -> SessionId:
    return SessionId(f"={name}")
