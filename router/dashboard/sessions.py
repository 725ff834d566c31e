"""Who is logged in at the dashboard: a random id in a cookie stands for a key or a person, while it is used."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from router.dashboard.people import Person

IDLE_S = 900
MOST = 1024  # whoever has a key may begin as many as he likes: beyond this the one idle for longest ends


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """`key_id` names the key's record; what it may do is asked of the record each time. `factor` is the salt of the
    second factor that was shown, "" without one."""

    key_id: str
    factor: str = ""


Holder = KeyHolder | Person


@dataclass(frozen=True, slots=True)
class Session:
    holder: Holder
    used_s: float
    until_s: float  # however much it is used


class Sessions:
    """In memory only: they end with the gateway. Times are seconds that never go back."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._by_id: OrderedDict[str, Session] = OrderedDict()  # idle for longest first

    def begin(self, holder: Holder, now_s: float, lasts_s: float = float("inf")) -> str:
        """Its id, which is a secret."""
        session_id = self._new_id()
        self._by_id[session_id] = Session(holder, now_s, now_s + lasts_s)
        while len(self._by_id) > MOST:
            self._by_id.popitem(last=False)
        return session_id

    def holder_of(self, session_id: str, now_s: float, use: bool = True) -> Holder | None:
        """Whom it stands for, if it lives; it then lives on, unless this is no use of it."""
        session = self._by_id.get(session_id)
        if session is None:
            return None
        if now_s - session.used_s >= IDLE_S or now_s >= session.until_s:
            del self._by_id[session_id]
            return None
        if use:
            self._by_id[session_id] = replace(session, used_s=now_s)
            self._by_id.move_to_end(session_id)
        return session.holder

    def count(self, meant: Callable[[Holder], bool]) -> int:
        return sum(1 for one in self._by_id.values() if meant(one.holder))

    def end_all(self, meant: Callable[[Holder], bool]) -> None:
        for session_id in [key for key, one in self._by_id.items() if meant(one.holder)]:
            del self._by_id[session_id]

    def end(self, session_id: str) -> None:
        self._by_id.pop(session_id, None)
