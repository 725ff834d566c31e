"""Who is logged in at the dashboard: a random id in a cookie stands for a key, for as long as it is used."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

IDLE_S = 900
MOST = 1024  # whoever has a key may begin as many as he likes: beyond this the one idle for longest ends


@dataclass(frozen=True, slots=True)
class Session:
    """`key_id` names the key's record; what it may do is asked of the record each time."""

    key_id: str
    used_s: float


class Sessions:
    """In memory only: they end with the gateway. Times are seconds that never go back."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._by_id: OrderedDict[str, Session] = OrderedDict()  # idle for longest first

    def begin(self, key_id: str, now_s: float) -> str:
        """Its id, which is a secret."""
        session_id = self._new_id()
        self._by_id[session_id] = Session(key_id, now_s)
        while len(self._by_id) > MOST:
            self._by_id.popitem(last=False)
        return session_id

    def key_of(self, session_id: str, now_s: float, use: bool = True) -> str | None:
        """The key that it stands for, if it lives; it then lives on, unless this is no use of it."""
        session = self._by_id.get(session_id)
        if session is None:
            return None
        if now_s - session.used_s >= IDLE_S:
            del self._by_id[session_id]
            return None
        if use:
            self._by_id[session_id] = Session(session.key_id, now_s)
            self._by_id.move_to_end(session_id)
        return session.key_id

    def end(self, session_id: str) -> None:
        self._by_id.pop(session_id, None)
