"""Asking every check at once, each with its own limit of time: one that hangs costs its own answer only."""

from collections.abc import Sequence
from threading import Thread
from time import monotonic

from cli.checks.finding import Check, Finding, Result, warn
from cli.checks.situation import Situation, look_around
from inventory.paths import StatePaths


def examine(situation: Situation, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """In the order of the checks."""
    asked = [_Asked(check, situation) for check in checks]
    begun_s = monotonic()
    return tuple(finding for one in asked for finding in one.findings(begun_s + one.check.within_s - monotonic()))


def examine_machine(paths: StatePaths, checks: Sequence[Check], within_s: float = 15.0) -> tuple[Finding, ...]:
    """From the first look on, which has a limit too: a state directory may hang as well."""
    seen: list[Situation] = []
    looking = Thread(target=lambda: seen.append(look_around(paths)), name="look around", daemon=True)
    looking.start()
    looking.join(within_s)
    if looking.is_alive():
        told = f"{paths.root} does not answer within {within_s:.0f} s: its disk, or the server of its disk, hangs"
        return (Finding("state", "fail", told, "see `dmesg` and `mount`; potluck wants a disk of this machine"),)
    return examine(seen[0] if seen else look_around(paths), checks)  # again, for the error that ended it


class _Asked:
    """A thread for each: what hangs, as a disk does whose server is away, cannot be interrupted, only left behind."""

    def __init__(self, check: Check, situation: Situation) -> None:
        self.check = check
        self._situation = situation
        self._results: tuple[Result, ...] | None = None
        self._thread = Thread(target=self._look, name=f"check {check.name}", daemon=True)
        self._thread.start()

    def findings(self, within_s: float) -> tuple[Finding, ...]:
        self._thread.join(max(0.0, within_s))
        late = f"no answer within {self.check.within_s:.0f} s: a disk, a name server or a driver hangs"
        again = f"potluck doctor{'' if self.check.topic == 'general' else f' {self.check.topic}'} once more"
        results = (warn(late, again),) if self._results is None else self._results
        return tuple(
            Finding(self.check.name, result.verdict, result.detail, result.fix, self.check.topic) for result in results
        )

    def _look(self) -> None:
        try:
            self._results = tuple(self.check.look(self._situation))
        except ImportError as error:
            self._results = (warn(f"could not be looked at: {error}", "pip install 'potluck[one-machine]'"),)
        except Exception as error:  # noqa: BLE001  a machine that is ill may fail in any way; the other checks count
            told = f"could not be looked at: {type(error).__name__}: {error}"
            self._results = (warn(told, "mend what it names, then ask once more"),)
