"""Codes of second factors at the gateway: right ones count once, also after a restart, and few may be tried."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cluster.totp import BEFORE_AND_AFTER, STEP_S, step_of
from inventory.clock import Clock
from inventory.secret_files import write_secret
from router.access import Factor
from router.errors import ApiError
from router.log import EventLog

MOST_WRONG = 5
LOCKED_S = 900.0
_steps = msgspec.json.Decoder(dict[str, int])


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    locked_until_s: float = 0.0


class SecondFactors:
    """By the factor, not by the key: a key that is rotated keeps its factor, and codes that were used stay used."""

    def __init__(self, file: Path, clock: Clock, log: EventLog) -> None:
        self._file, self._clock, self._log = file, clock, log
        self._used = _read(file)
        self._tries: dict[str, _Tries] = {}
        self._saving = asyncio.Lock()

    def check(self, factor: Factor, name: str, code: str | None) -> None:
        """Raises ApiError 401 where a code is missing, wrong or was used, 403 where the key has no factor, 429 after
        too many."""
        if not factor.needed:
            return
        if factor.secret is None:
            message = f"keys of this role log in with a second factor, and this one has none: potluck keys totp {name}"
            raise ApiError(403, "totp_not_set", message)
        tries, now_s = self._tries.setdefault(factor.salt, _Tries()), self._clock.monotonic_s()
        if now_s < tries.locked_until_s:
            left_s = tries.locked_until_s - now_s
            message = f"too many wrong codes; try again in {left_s / 60:.0f} minutes"
            raise ApiError(429, "too_many_codes", message).retry_after(int(left_s) + 1)
        if code is None:
            raise ApiError(401, "totp_needed", "this key needs the six digits of its second factor, too")
        step = step_of(factor.secret, code, self._clock.wall_s())
        if step is None or step <= self._used.get(factor.salt, -1):
            self._failed(tries, now_s)
            used = step is not None
            message = "this code was used; wait for the next one" if used else "these are not the six digits of now"
            raise ApiError(401, "code_used" if used else "wrong_code", message)
        self._used[factor.salt] = step
        self._tries.pop(factor.salt)

    async def save(self) -> None:
        """What was used, for as long as it could be used again."""
        oldest = int(self._clock.wall_s() // STEP_S) - BEFORE_AND_AFTER
        async with self._saving:
            self._used = {salt: step for salt, step in self._used.items() if step >= oldest}
            try:
                await asyncio.to_thread(write_secret, self._file, msgspec.json.encode(self._used).decode())
            except OSError as error:
                self._log.emit("codes_not_saved", error=str(error))

    def _failed(self, tries: _Tries, now_s: float) -> None:
        tries.wrong += 1
        if tries.wrong >= MOST_WRONG:
            tries.wrong, tries.locked_until_s = 0, now_s + LOCKED_S


def _read(file: Path) -> dict[str, int]:
    """Nothing where there is nothing yet, or nothing that makes sense."""
    try:
        return _steps.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
