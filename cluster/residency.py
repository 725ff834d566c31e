"""Which models that sleep while nobody asks should be awake: demand, what was decided before and a clock, a Plan out.

A model that is asked for and fits is woken. Where it does not fit, others make room, if they have had their dwell time
and its demand exceeds theirs: they take no new requests, finish those they have, and leave. Nobody is stopped at work.
An idle model leaves after its keep-alive. One that is kept warm is awake without being asked, but only in room that
nobody who is asked for needs. Routing knows nothing of all this: a swap costs more than any request.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from cluster.residency_trials import Names, Trials
from cluster.residency_values import (
    DEMAND_FACTOR,
    DEMAND_MARGIN_S,
    Plan,
    Residency,
    Resident,
    Rules,
    Sleeper,
    Stance,
    Trial,
)
from inventory.catalog import ModelName

STEPS = 60  # in which a future is looked through


def plan(sleepers: Iterable[Sleeper], before: Residency, rules: Rules, trial: Trial, now_s: float) -> Plan:
    """Same inputs, same answer. Models that no longer sleep, or are no longer configured, are forgotten."""
    table = _Table({sleeper.name: sleeper for sleeper in sleepers}, before, rules, Trials(trial), now_s)
    table.drop_unplaced()
    table.settle()
    table.dismiss_idle()
    table.make_way()
    table.wake()
    table.warm_up()
    return table.plan()


class _Table:
    """One plan in the making."""

    def __init__(
        self, sleepers: Mapping[ModelName, Sleeper], before: Residency, rules: Rules, trials: Trials, now_s: float
    ) -> None:
        self._sleepers, self._rules, self._trials, self._now_s = sleepers, rules, trials, now_s
        self._residents = {one.name: self._noted(one) for one in before.residents if one.name in sleepers}
        self._swaps = {node: at_s for node, at_s in before.swaps if now_s - at_s < rules.dwell_s}
        self._asked = {name: (since_s, last_s) for name, since_s, last_s in before.asked}
        self._stances: dict[ModelName, Stance] = {}

    def drop_unplaced(self) -> None:
        """Their room is gone: other programs took it, or a machine left. Who is asked for waits for another turn."""
        for name in self._held():
            if not self._trials.has_place(name, self._held()) and self._trials.has_place(name, frozenset({name})):
                del self._residents[name]

    def settle(self) -> None:
        """Those that leave: let them go, or keep them after all."""
        for room_for in sorted({one.room_for or ModelName("") for one in self._leaving()}):
            group = [one for one in self._leaving() if (one.room_for or "") == room_for]
            if not room_for:
                for one in group:
                    self._settle_idle(one)
            elif not self._still_wants(room_for):
                for one in group:
                    self._keep(one)
            elif all(self._gone_quiet(one) for one in group):
                self._exchange(group, room_for)

    def dismiss_idle(self) -> None:
        for one in self._staying():
            sleeper = self._sleepers[one.name]
            idle_s = self._now_s - max(sleeper.used_s or one.since_s, one.served_s or one.since_s)
            loads = one.served_s is None and not sleeper.broken
            if not sleeper.unasked and not sleeper.demand.wanted and not loads and idle_s >= sleeper.keep_alive_s:
                self._residents[one.name] = replace(one, leaves_s=self._now_s)

    def make_way(self) -> None:
        """For models that always run: the operator wants them more than any that sleep. Their demand is not weighed."""
        always = [name for name in self._trials.counts(frozenset()) if name not in self._sleepers]
        for name in sorted(always):
            has_place = partial(self._trials.has_place, name)
            if not has_place(self._future()):
                self._displace(self._victims(has_place), name)

    def wake(self) -> None:
        """Whoever is asked for, the one that waits longest first."""
        self._note_asked()
        for name in sorted(self._asked, key=lambda name: (self._asked[name][0], name)):
            if self._sleepers[name].demand.waiting:
                self._stances[name] = self._stance_of_asked(name)

    def warm_up(self) -> None:
        """Into room that is left once everybody has a place who is asked for; not where a swap was a moment ago, for
        who had to leave there may be asked for again."""
        for name in sorted(name for name, sleeper in self._sleepers.items() if sleeper.unasked):
            if name in self._residents or name in self._stances:
                continue
            self._stances[name] = Stance("asleep", f"{self._sleepers[name].unasked}, and waits for room")
            waiting = any(self._trials.has_place(one, frozenset({one})) for one in self._asked.keys() - self._held())
            fits = self._trials.fits(name, self._held()) and self._trials.fits(name, self._future())
            if fits and not waiting and not self._swapped_lately(name):
                self._residents[name] = Resident(name, self._now_s)

    def plan(self) -> Plan:
        stances = {name: self._stances.get(name) or Stance("asleep", "nobody asks for it") for name in self._sleepers}
        for one in self._residents.values():
            stances[one.name] = Stance("resident", "") if one.leaves_s is None else Stance("yielding", _farewell(one))
        for name in self._residents:
            self._asked.pop(name, None)
        asked = tuple(sorted((name, *times) for name, times in self._asked.items()))
        residents = tuple(sorted(self._residents.values(), key=lambda one: one.name))
        return Plan(Residency(residents, asked, tuple(sorted(self._swaps.items()))), stances)

    # Those that leave

    def _settle_idle(self, one: Resident) -> None:
        if self._sleepers[one.name].demand.wanted:
            self._keep(one)
        elif self._gone_quiet(one):
            del self._residents[one.name]

    def _still_wants(self, name: ModelName) -> bool:
        """Somebody waits for it, and would not be served without this."""
        sleeper = self._sleepers.get(name)
        if sleeper is None:
            return self._trials.has_place(name, self._future()) and not self._trials.has_place(name, self._held())
        return sleeper.demand.waiting > 0 and name not in self._residents and not self._trials.fits(name, self._held())

    def _gone_quiet(self, one: Resident) -> bool:
        assert one.leaves_s is not None
        noticed = self._now_s - one.leaves_s >= self._rules.notice_s
        return noticed and self._sleepers[one.name].demand.running == 0

    def _exchange(self, group: Sequence[Resident], newcomer: ModelName) -> None:
        nodes = self._trials.nodes(self._held())
        for one in group:
            del self._residents[one.name]
            self._swaps.update(dict.fromkeys(nodes.get(one.name, ()), self._now_s))
        if newcomer in self._sleepers and self._trials.fits(newcomer, self._held()):
            self._residents[newcomer] = Resident(newcomer, self._now_s)

    def _keep(self, one: Resident) -> None:
        self._residents[one.name] = replace(one, leaves_s=None, room_for=None)

    # Those that come

    def _stance_of_asked(self, name: ModelName) -> Stance:
        leaving = [one for one in self._leaving() if one.room_for == name]
        if leaving:
            return self._waiting_for(leaving)
        if self._trials.fits(name, self._future()):
            if not self._trials.fits(name, self._held()):
                return self._waiting_for(self._leaving())
            self._residents[name] = Resident(name, self._now_s)
            return Stance("resident", "")
        fits = partial(self._trials.fits, name)
        victims = self._victims(fits, self._may_leave)
        if victims and self._due_s(name, victims) <= 0:
            return self._waiting_for(self._displace(victims, name))
        wanted = self._victims(fits)
        if not wanted:
            return Stance("asleep", "nothing that sleeps could make room for it", None)
        dwell_left_s, due_s = self._dwell_left_s(wanted), self._due_s(name, wanted)
        # Demand that falls far short changes with every request: a time made of it would be a guess.
        foreseen = due_s <= max(dwell_left_s, self._rules.window_s)
        wait_s = max(dwell_left_s, due_s) + self._rules.notice_s if foreseen else None
        return Stance("asleep", f"waits for its turn after {_listed([one.name for one in wanted])}", wait_s)

    def _waiting_for(self, leaving: Sequence[Resident]) -> Stance:
        left_s = [self._rules.notice_s - (self._now_s - one.leaves_s) for one in leaving if one.leaves_s is not None]
        return Stance("asleep", f"waits until {_listed([one.name for one in leaving])} has finished", max(left_s))

    def _displace(self, victims: Sequence[Resident], name: ModelName) -> list[Resident]:
        leaving = [replace(one, leaves_s=self._now_s, room_for=name) for one in victims]
        self._residents.update({one.name: one for one in leaving})
        return leaving

    def _victims(
        self, enough: Callable[[Names], bool], may: Callable[[Resident], bool] = lambda _: True
    ) -> list[Resident]:
        """The least wanted residents whose leaving is enough; none where no leaving is."""
        chosen: list[Resident] = []
        future = self._future()
        for one in sorted(filter(may, self._staying()), key=self._worth):
            chosen.append(one)
            if enough(future - {victim.name for victim in chosen}):
                break
        else:
            return []
        for one in reversed(chosen[:-1]):  # the first that were picked may not be needed beside the last
            fewer = [other for other in chosen if other is not one]
            if enough(future - {victim.name for victim in fewer}):
                chosen = fewer
        return chosen

    def _worth(self, one: Resident) -> tuple[float, float, ModelName]:
        sleeper = self._sleepers[one.name]
        return sleeper.demand_s, sleeper.used_s or 0.0, one.name

    def _may_leave(self, one: Resident) -> bool:
        return self._dwell_left_s([one]) <= 0

    def _swapped_lately(self, name: ModelName) -> bool:
        nodes = self._trials.nodes(self._held() | {name}).get(name, frozenset())
        return any(node in self._swaps for node in nodes)

    def _dwell_left_s(self, victims: Sequence[Resident]) -> float:
        nodes = self._trials.nodes(self._held())
        left_s = [0.0]
        for one in victims:
            sleeper = self._sleepers[one.name]
            if sleeper.broken:
                continue
            begins_s = self._begins_s(one)
            swaps = [self._swaps[node] for node in nodes.get(one.name, ()) if node in self._swaps]
            left_s.append(max([begins_s, *swaps]) + self._rules.dwell_s - self._now_s)
        return max(left_s)

    def _begins_s(self, one: Resident) -> float:
        """When its dwell time does: once it serves. One that nobody asked for has nobody to serve first."""
        sleeper = self._sleepers[one.name]
        if sleeper.warm and (sleeper.used_s is None or sleeper.used_s < one.since_s):
            return one.since_s
        return one.served_s if one.served_s is not None else max(one.since_s + (sleeper.load_s or 0), self._now_s)

    def _due_s(self, name: ModelName, victims: Sequence[Resident]) -> float:
        """How long until its demand is worth a swap, if all goes on as it does: no longer than patience lasts."""
        sleeper, others = self._sleepers[name], [self._sleepers[one.name] for one in victims]
        in_use = any(other.demand.wanted for other in others)
        patience_left_s = max(0.0, self._asked[name][0] + self._rules.patience_s - self._now_s)
        for step in range(STEPS):
            later_s = patience_left_s * step / STEPS
            theirs_s = sum(other.demand_in(later_s, self._rules.window_s) for other in others)
            needed_s = DEMAND_FACTOR * theirs_s + DEMAND_MARGIN_S
            if in_use:
                needed_s = max(needed_s, theirs_s + (sleeper.load_s or 0.0))  # what it saves must pay for its load
            if sleeper.demand_in(later_s, self._rules.window_s) > needed_s:
                return later_s
        return patience_left_s

    # What is known

    def _noted(self, one: Resident) -> Resident:
        """One that had to start again, for whatever reason, has its dwell time anew."""
        if not self._sleepers[one.name].serves:
            return replace(one, served_s=None)
        return replace(one, served_s=self._now_s) if one.served_s is None else one

    def _note_asked(self) -> None:
        """A pause that is shorter than a dwell time is none: clients of whole answers come again after a refusal."""
        for name, sleeper in self._sleepers.items():
            since_s, last_s = self._asked.get(name, (self._now_s, self._now_s))
            if sleeper.demand.waiting and name not in self._residents:
                self._asked[name] = (since_s, self._now_s)
            elif self._now_s - last_s > self._rules.dwell_s:
                self._asked.pop(name, None)
        self._asked = {name: times for name, times in self._asked.items() if name in self._sleepers}

    def _leaving(self) -> list[Resident]:
        return [one for one in self._residents.values() if one.leaves_s is not None]

    def _staying(self) -> list[Resident]:
        return [one for one in self._residents.values() if one.leaves_s is None]

    def _held(self) -> Names:
        """Who may hold memory at this moment."""
        return frozenset(self._residents)

    def _future(self) -> Names:
        """Who will, once all that leave have made room for those they leave for."""
        coming = {one.room_for for one in self._leaving() if one.room_for in self._sleepers}
        return frozenset({one.name for one in self._staying()} | {name for name in coming if name is not None})


def _farewell(one: Resident) -> str:
    if one.room_for is None:
        return "nobody has asked for it for its keep-alive; it leaves"
    return f"finishes its requests and makes room for {one.room_for}"


def _listed(names: Sequence[ModelName]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
