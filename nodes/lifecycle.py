"""One engine's life as a pure function: `step(state, event, now) -> (state, effects)`.

Startup, readiness and progress are three questions with three inputs. Has it started: its health answers
(`Probed.started`). Is it ready: it serves our model, with our secret (`Probed.ready`). Is it getting on: counters move
while it is busy (`Observed`); a health endpoint that goes on answering proves nothing about that.

At most one process exists at a time: `Spawn` is only ever emitted while none does, and every life ends in `Reap`.
All times are monotonic seconds, given as arguments.
"""

from dataclasses import replace
from typing import assert_never

from nodes.lifecycle_values import (
    Activity,
    Drain,
    Effect,
    Ensure,
    Event,
    Exited,
    Kill,
    Lifecycle,
    LifecyclePolicy,
    Observed,
    Probed,
    Reap,
    Resume,
    Shed,
    Spawn,
    Stop,
    Terminate,
    Tick,
)
from nodes.snapshot import EngineState

Step = tuple[Lifecycle, tuple[Effect, ...]]


def adopt(generation: int, now_s: float, policy: LifecyclePolicy) -> Lifecycle:
    """The state of an engine that was found running, before anybody asked it anything."""
    return Lifecycle(
        phase="starting",
        reason="found running; asking it",
        since_s=now_s,
        deadline_s=now_s + policy.start_deadline_s,
        generation=generation,
        alive=True,
        wanted=True,
        adopted=True,
    )


def step(state: Lifecycle, event: Event, now_s: float, policy: LifecyclePolicy) -> Step:
    """What becomes of `state`, and what to do about it. Events of an earlier generation change nothing."""
    match event:
        case Probed() | Observed() | Exited() if not state.alive or event.generation != state.generation:
            return state, ()
        case Ensure():
            return _ensure(state, event.changed, now_s, policy)
        case Drain():
            return _drain(state, now_s, policy)
        case Stop():
            return _stop(state, now_s, policy)
        case Shed() | Resume():
            return _for_memory(state, event, now_s, policy)
        case Probed():
            return _probed(state, event, now_s)
        case Observed():
            return _observed(state, event, now_s, policy)
        case Exited():
            return _exited(state, event, now_s, policy)
        case Tick():
            return _tick(state, now_s, policy)
        case _:
            assert_never(event)


def next_wake_s(state: Lifecycle, policy: LifecyclePolicy) -> float | None:
    """When a Tick is due if nothing else happens; None when only an event can change anything."""
    times = [time for time in (state.deadline_s, _stall_s(state, policy)) if time is not None]
    return min(times, default=None)


def _ensure(state: Lifecycle, changed: bool, now_s: float, policy: LifecyclePolicy) -> Step:
    match state.phase:
        case "stopped":
            return _start(state, now_s, policy)
        case "starting" | "ready" | "backoff" | "quarantined":
            return _with_other_settings(state, now_s, policy) if changed else (state, ())
        case "draining":
            if changed or state.wanted or state.no_memory:
                return replace(state, wanted=True), ()
            return _enter(replace(state, wanted=True), "ready", "the drain was called off", now_s), ()
        case "stopping":
            return replace(state, wanted=True), ()
        case _:
            assert_never(state.phase)


def _with_other_settings(state: Lifecycle, now_s: float, policy: LifecyclePolicy) -> Step:
    if state.phase == "ready":
        return _begin_drain(replace(state, wanted=True), "its settings changed; finishes its requests", now_s, policy)
    if state.phase == "starting":
        return _terminate(replace(state, wanted=True), "its settings changed", now_s, policy)
    return _start(replace(state, deaths=(), failures=0), now_s, policy)


def _drain(state: Lifecycle, now_s: float, policy: LifecyclePolicy) -> Step:
    match state.phase:
        case "ready":
            return _begin_drain(replace(state, wanted=False), "drained by order; finishes its requests", now_s, policy)
        case "draining" | "stopping":
            return replace(state, wanted=False), ()
        case "starting" | "backoff" | "quarantined" | "stopped":
            return _stop(state, now_s, policy)
        case _:
            assert_never(state.phase)


def _stop(state: Lifecycle, now_s: float, policy: LifecyclePolicy) -> Step:
    match state.phase:
        case "stopped":
            return state, ()
        case "backoff" | "quarantined":
            return _enter(replace(state, wanted=False), "stopped", "stopped by order", now_s), ()
        case "starting" | "ready" | "draining":
            return _terminate(replace(state, wanted=False), "stopped by order", now_s, policy)
        case "stopping":
            return replace(state, wanted=False), ()
        case _:
            assert_never(state.phase)


def _for_memory(state: Lifecycle, event: Shed | Resume, now_s: float, policy: LifecyclePolicy) -> Step:
    """One that is leaving anyway is only hurried up: what becomes of it then was decided before."""
    if isinstance(event, Resume):
        return _start(state, now_s, policy) if state.waits_for_memory else (state, ())
    leaves = replace(state, no_memory=event.why)
    match state.phase:
        case "ready" if not event.at_once:
            return _begin_drain(leaves, event.why, now_s, policy)
        case "starting" | "ready":
            return _terminate(leaves, event.why, now_s, policy)
        case "draining" if event.at_once:
            return _terminate(leaves, event.why, now_s, policy)
        case "draining" | "stopping" | "backoff" | "quarantined" | "stopped":
            return state, ()
        case _:
            assert_never(state.phase)


def _probed(state: Lifecycle, event: Probed, now_s: float) -> Step:
    if state.phase != "starting":
        return state, ()
    if not event.ready:
        reason = "started; does not take requests yet" if event.started else "loading the model"
        return replace(state, reason=reason if event.measured_s is None else "measuring how fast it is"), ()
    took_s = None if state.spawned_s is None else now_s - state.spawned_s - (event.measured_s or 0.0)
    ready = replace(state, ready_s=now_s, ready_after_s=took_s, port_attempts=0, activity=Activity())
    return _enter(ready, "ready", "found running" if state.adopted else "", now_s), ()


def _observed(state: Lifecycle, event: Observed, now_s: float, policy: LifecyclePolicy) -> Step:
    if state.phase not in ("ready", "draining"):
        return state, ()
    state = replace(state, activity=_activity(state.activity, event, now_s))
    if state.phase == "draining" and event.running == 0 and now_s >= state.since_s + policy.drain_quiet_s:
        return _terminate(state, "drained", now_s, policy)
    return _unless_stalled(state, now_s, policy)


def _activity(before: Activity, event: Observed, now_s: float) -> Activity:
    """An engine that does not answer counts as busy: whatever holds it up, nothing is seen to move."""
    if event.answered and not event.running:
        return Activity(progress=event.progress)
    since_s = now_s if before.busy_since_s is None else before.busy_since_s
    moved = event.progress is not None and before.progress is not None and event.progress != before.progress
    return Activity(
        busy_since_s=since_s,
        moved_s=now_s if moved else before.moved_s,
        progress=before.progress if event.progress is None else event.progress,
    )


def _exited(state: Lifecycle, event: Exited, now_s: float, policy: LifecyclePolicy) -> Step:
    gone = replace(state, alive=False, activity=Activity())
    reap: tuple[Effect, ...] = (Reap(state.generation),)
    taken = event.port_taken and state.phase == "starting" and state.port_attempts + 1 < policy.port_attempts
    if taken:
        following, effects = _start(replace(gone, port_attempts=state.port_attempts + 1), now_s, policy)
    elif state.wanted and (no_memory := state.no_memory or (event.how if event.no_room else "")):
        following, effects = _enter(replace(gone, no_memory=no_memory), "backoff", no_memory, now_s), ()
    elif state.failed or state.phase in ("starting", "ready"):
        why = f"{state.reason}; {event.how}" if state.failed else event.how
        following, effects = _died(gone, why, now_s, policy)
    elif state.wanted:
        following, effects = _start(gone, now_s, policy)
    else:
        why = state.reason if state.phase == "stopping" else event.how
        following, effects = _enter(gone, "stopped", why, now_s), ()
    return following, reap + effects


def _died(state: Lifecycle, how: str, now_s: float, policy: LifecyclePolicy) -> Step:
    if not state.wanted:
        return _enter(state, "stopped", how, now_s), ()
    was_healthy = state.ready_s is not None and now_s - state.ready_s >= policy.healthy_after_s
    earlier = () if was_healthy else tuple(at for at in state.deaths if now_s - at < policy.quarantine_window_s)
    failures = 1 if was_healthy else state.failures + 1
    state = replace(state, deaths=(*earlier, now_s), failures=failures)
    if len(state.deaths) >= policy.quarantine_deaths:
        span = f"{policy.quarantine_window_s / 60:g} min"
        why = f"{how}; died {len(state.deaths)} times in {span}, waits for the operator"
        return _enter(state, "quarantined", why, now_s), ()
    # The exponent is bounded, so that a long row of failures does not overflow a float.
    delay_s = min(policy.backoff_last_s, policy.backoff_first_s * 2 ** min(failures - 1, 32))
    return _enter(state, "backoff", f"{how}; starts again in {delay_s:g} s", now_s, now_s + delay_s), ()


def _tick(state: Lifecycle, now_s: float, policy: LifecyclePolicy) -> Step:
    if state.deadline_s is None or now_s < state.deadline_s:
        return _unless_stalled(state, now_s, policy)
    match state.phase:
        case "starting":
            why = f"not ready after {policy.start_deadline_s:g} s"
            return _terminate(replace(state, failed=True), why, now_s, policy)
        case "draining":
            return _terminate(state, f"not drained after {policy.drain_deadline_s:g} s", now_s, policy)
        case "stopping":
            # Said again at each deadline: a process that waits for a disk dies when the disk answers.
            return replace(state, deadline_s=now_s + policy.stop_grace_s), (Kill(state.generation),)
        case "backoff":
            return _start(state, now_s, policy)
        case "ready" | "quarantined" | "stopped":
            return replace(state, deadline_s=None), ()
        case _:
            assert_never(state.phase)


def _stall_s(state: Lifecycle, policy: LifecyclePolicy) -> float | None:
    """When this engine counts as stalled, unless something moves before."""
    activity = state.activity
    if state.phase != "ready" or activity.busy_since_s is None:
        return None
    if activity.moved_s is not None:
        return activity.moved_s + policy.stall_deadline_s
    return activity.busy_since_s + policy.first_progress_deadline_s


def _unless_stalled(state: Lifecycle, now_s: float, policy: LifecyclePolicy) -> Step:
    stall_s = _stall_s(state, policy)
    if stall_s is None or now_s < stall_s:
        return state, ()
    return _terminate(replace(state, failed=True), "busy, and nothing moves", now_s, policy)


def _start(state: Lifecycle, now_s: float, policy: LifecyclePolicy) -> Step:
    fresh = replace(
        state,
        generation=state.generation + 1,
        alive=True,
        wanted=True,
        failed=False,
        no_memory="",
        adopted=False,
        spawned_s=now_s,
        ready_s=None,
        ready_after_s=None,
        activity=Activity(),
    )
    return (
        _enter(fresh, "starting", "loading the model", now_s, now_s + policy.start_deadline_s),
        (Spawn(fresh.generation),),
    )


def _begin_drain(state: Lifecycle, why: str, now_s: float, policy: LifecyclePolicy) -> Step:
    return _enter(state, "draining", why, now_s, now_s + policy.drain_deadline_s), ()


def _terminate(state: Lifecycle, why: str, now_s: float, policy: LifecyclePolicy) -> Step:
    return (
        _enter(state, "stopping", why, now_s, now_s + policy.stop_grace_s),
        (Terminate(state.generation),),
    )


def _enter(state: Lifecycle, phase: EngineState, why: str, now_s: float, deadline_s: float | None = None) -> Lifecycle:
    return replace(state, phase=phase, reason=why, since_s=now_s, deadline_s=deadline_s)
