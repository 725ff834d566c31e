"""Conversations and where they live: known by a header, or by a prompt that continues an earlier one.

Their tokens are an engine's working set. One that was active a moment ago will probably be back, and reads everything
again if its engine has dropped it.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NewType

import msgspec

from nodes.snapshot import EngineId
from router.prefix_index import Chain

SessionId = NewType("SessionId", str)

ACTIVE_S = 90.0
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


class Sessions:
    """Of all engines. Times are arguments and never run backwards."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[SessionId, Session] = OrderedDict()  # the longest idle first
        self._tails: dict[Hashable, SessionId] = {}
        self._active: dict[EngineId, OrderedDict[SessionId, int]] = {}  # tokens, the longest idle first
        self._live_tokens: dict[EngineId, int] = {}
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
        """Of sessions that live on an engine and were active a moment ago."""
        active = self._active.get(engine_id)
        if not active:
            return 0
        while active:
            oldest = next(iter(active))
            if now_s - self._sessions[oldest].active_s <= ACTIVE_S:
                break
            self._retire(engine_id, oldest)
        tokens = self._live_tokens.get(engine_id, 0)
        return tokens - active.get(but, 0) if but is not None else tokens

    def settle(self, session_id: SessionId | None, name: str | None, chain: Chain, stay: Stay) -> SessionId:
        """A turn goes to an engine."""
        known = self.get(session_id)
        if known is not None and session_id is not None:
            self._drop(session_id)
            turns, quick = known.turns + 1, stay.now_s - known.active_s <= ACTIVE_S
        else:
            self._count += 1
            session_id = _named(name) if name is not None else SessionId(f"#{self._count}")
            turns, quick = 1, name is not None
        tail = chain[-1] if chain else None
        session = Session(stay.engine_id, stay.tokens, stay.now_s, turns, quick, tail, len(chain))
        self._sessions[session_id] = session
        if tail is not None and name is None:
            self._tails[tail] = session_id
        if quick:
            self._active.setdefault(stay.engine_id, OrderedDict())[session_id] = stay.tokens
            self._live_tokens[stay.engine_id] = self._live_tokens.get(stay.engine_id, 0) + stay.tokens
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
            active = self._active.get(session.engine_id)
            if active is not None and session_id in active:
                active.move_to_end(session_id)
            self._sessions.move_to_end(session_id)

    def engine_gone(self, engine_id: EngineId) -> None:
        """Its cache went with it."""
        for session_id in list(self._active.get(engine_id, ())):
            self._retire(engine_id, session_id)

    def _retire(self, engine_id: EngineId, session_id: SessionId) -> None:
        tokens = self._active[engine_id].pop(session_id)
        self._live_tokens[engine_id] -= tokens

    def _drop(self, session_id: SessionId) -> None:
        session = self._sessions.pop(session_id)
        if session_id in self._active.get(session.engine_id, ()):
            self._retire(session.engine_id, session_id)
        if session.tail is not None and self._tails.get(session.tail) == session_id:
            del self._tails[session.tail]


def _named(name: str) -> SessionId:
    return SessionId(f"={name}")
