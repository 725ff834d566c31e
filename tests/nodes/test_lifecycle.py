"""The story of one engine, told as events; and laws that hold for every story."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.lifecycle import adopt, next_wake_s, step
from nodes.lifecycle_values import (
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

POLICY = LifecyclePolicy()


@dataclass
class Story:
    """Feeds events one after another and keeps what they led to."""

    state: Lifecycle = field(default_factory=Lifecycle)
    now_s: float = 0.0
    effects: list[Effect] = field(default_factory=list)

    def tell(self, *events: Event, after_s: float = 0.0) -> tuple[Effect, ...]:
        self.now_s += after_s
        told: list[Effect] = []
        for event in events:
            self.state, effects = step(self.state, event, self.now_s, POLICY)
            told += effects
        self.effects += told
        return tuple(told)

    @property
    def phase(self) -> EngineState:
        return self.state.phase

    def ready(self) -> "Story":
        self.tell(Ensure())
        self.tell(Probed(self.state.generation, started=True, ready=True), after_s=1.0)
        return self

    def dies(self, after_s: float = 0.0) -> None:
        self.tell(Exited(self.state.generation, "killed by signal 9"), after_s=after_s)

    def observes(self, running: int, progress: int | None, after_s: float = 1.0) -> tuple[Effect, ...]:
        return self.tell(Observed(self.state.generation, True, running, progress), after_s=after_s)


def test_an_engine_is_started_asked_and_ready() -> None:
    story = Story()

    assert story.tell(Ensure()) == (Spawn(1),)
    assert story.phase == "starting"
    story.tell(Probed(1, started=False, ready=False), after_s=0.5)
    assert story.state.reason == "loading the model"
    story.tell(Probed(1, started=True, ready=False), after_s=0.5)
    assert story.phase == "starting"
    story.tell(Probed(1, started=True, ready=True), after_s=0.5)

    assert (story.phase, story.state.ready_after_s) == ("ready", 1.5)


def test_asking_for_a_running_engine_again_changes_nothing() -> None:
    story = Story().ready()
    before = story.state

    assert story.tell(Ensure(), Ensure()) == ()
    assert story.state == before


def test_an_engine_that_is_not_ready_in_time_is_stopped_and_counts_as_dead() -> None:
    story = Story()
    story.tell(Ensure())

    assert story.tell(Tick(), after_s=POLICY.start_deadline_s) == (Terminate(1),)
    story.dies()

    assert story.phase == "backoff"
    assert "not ready after 900 s" in story.state.reason


def test_a_dead_engine_starts_again_after_a_pause_that_doubles_to_a_minute() -> None:
    story = Story()
    story.tell(Ensure())
    pauses = []
    for _ in range(4):
        story.dies(after_s=500.0)  # rare enough to stay out of quarantine
        wake_s = next_wake_s(story.state, POLICY)
        assert wake_s is not None
        pauses.append(wake_s - story.now_s)
        assert story.tell(Tick(), after_s=wake_s - story.now_s) == (Spawn(story.state.generation),)

    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_five_deaths_in_ten_minutes_quarantine_it_until_its_settings_change() -> None:
    story = Story()
    story.tell(Ensure())
    for _ in range(POLICY.quarantine_deaths):
        story.dies()
        story.tell(Tick(), after_s=POLICY.backoff_last_s)

    assert story.phase == "quarantined"
    assert story.tell(Ensure(), Tick(), after_s=1e6) == ()
    assert story.tell(Ensure(changed=True)) == (Spawn(story.state.generation),)
    assert story.state.deaths == ()


def test_a_healthy_period_forgives_earlier_deaths() -> None:
    story = Story()
    story.tell(Ensure())
    for _ in range(4):
        story.dies()
        story.tell(Tick(), after_s=POLICY.backoff_last_s)
    story.tell(Probed(story.state.generation, started=True, ready=True))
    story.dies(after_s=POLICY.healthy_after_s)

    assert story.phase == "backoff"
    assert (story.state.failures, len(story.state.deaths)) == (1, 1)


def test_draining_waits_for_the_last_request_then_terminates() -> None:
    story = Story().ready()
    story.tell(Drain())

    assert story.observes(running=2, progress=5) == ()
    assert story.observes(running=0, progress=9) == (Terminate(1),)
    assert story.tell(Exited(1, "killed by signal 15")) == (Reap(1),)
    assert story.phase == "stopped"


def test_an_idle_engine_waits_for_those_who_have_not_heard_of_its_drain_yet() -> None:
    story = Story().ready()
    story.tell(Drain())

    assert story.observes(running=0, progress=9, after_s=0.2) == ()
    assert story.observes(running=1, progress=9, after_s=POLICY.drain_quiet_s) == ()
    assert story.observes(running=0, progress=30) == (Terminate(1),)


def test_draining_ends_at_its_deadline() -> None:
    story = Story().ready()
    story.tell(Drain())

    assert story.tell(Tick(), after_s=POLICY.drain_deadline_s) == (Terminate(1),)


def test_a_drain_is_called_off_when_the_engine_is_wanted_again() -> None:
    story = Story().ready()
    story.tell(Drain(), Ensure())

    assert story.phase == "ready"


def test_changed_settings_mean_drain_and_restart_as_the_next_generation() -> None:
    story = Story().ready()
    story.tell(Ensure(changed=True), Ensure(changed=True))
    assert story.phase == "draining"
    story.observes(running=0, progress=None)

    assert story.tell(Exited(1, "killed by signal 15")) == (Reap(1), Spawn(2))
    assert (story.phase, story.state.generation) == ("starting", 2)


def test_an_engine_that_ignores_sigterm_is_killed_after_its_grace_and_again_until_it_is_gone() -> None:
    story = Story().ready()

    assert story.tell(Stop()) == (Terminate(1),)
    assert story.tell(Tick(), after_s=POLICY.stop_grace_s - 1) == ()
    assert story.tell(Tick(), after_s=1) == (Kill(1),)
    assert story.tell(Tick(), after_s=POLICY.stop_grace_s) == (Kill(1),)
    assert story.tell(Exited(1, "killed by signal 9")) == (Reap(1),)
    assert story.phase == "stopped"


def test_a_busy_engine_whose_counters_stand_still_is_restarted_although_its_health_answers() -> None:
    story = Story().ready()
    story.observes(running=1, progress=10)
    story.observes(running=1, progress=11)
    story.observes(running=1, progress=11, after_s=POLICY.stall_deadline_s - 1)
    assert story.phase == "ready"

    assert story.tell(Tick(), after_s=1) == (Terminate(1),)
    story.dies()
    assert (story.phase, story.state.failures) == ("backoff", 1)


def test_an_idle_engine_never_stalls() -> None:
    story = Story().ready()
    story.observes(running=1, progress=10)
    story.observes(running=0, progress=12)

    assert next_wake_s(story.state, POLICY) is None
    assert story.tell(Tick(), after_s=1e6) == ()


def test_an_engine_that_answers_nothing_at_all_counts_as_busy() -> None:
    story = Story().ready()
    story.tell(Observed(1, answered=False), after_s=1.0)

    assert story.tell(Tick(), after_s=POLICY.first_progress_deadline_s) == (Terminate(1),)


def test_a_long_answer_that_moves_is_left_alone() -> None:
    story = Story().ready()
    for progress in range(1000):
        assert story.observes(running=1, progress=progress, after_s=60.0) == ()


def test_a_taken_port_is_no_death_but_only_so_often() -> None:
    story = Story()
    story.tell(Ensure())
    for _ in range(POLICY.port_attempts - 1):
        generation = story.state.generation
        assert story.tell(Exited(generation, "exited with status 98", port_taken=True))[1:] == (Spawn(generation + 1),)
    assert story.state.deaths == ()
    story.tell(Exited(story.state.generation, "exited with status 98", port_taken=True))

    assert story.phase == "backoff"


def test_an_adopted_engine_becomes_ready_under_its_old_generation_without_a_start() -> None:
    story = Story(adopt(7, 0.0, POLICY))

    assert story.tell(Probed(7, started=True, ready=True), after_s=0.1) == ()
    assert (story.phase, story.state.generation, story.state.adopted) == ("ready", 7, True)
    assert story.state.ready_after_s is None


@pytest.mark.parametrize("order", [Drain(), Stop()])
def test_stopping_an_engine_that_waits_to_start_again_ends_it_there(order: Event) -> None:
    story = Story()
    story.tell(Ensure())
    story.dies()

    assert story.tell(order) == ()
    assert story.phase == "stopped"
    assert story.tell(Tick(), after_s=1e6) == ()


def test_an_engine_shed_for_memory_finishes_its_requests_and_waits_until_it_is_resumed() -> None:
    story = Story().ready()
    story.tell(Shed("stopped for memory", at_once=False))
    assert story.phase == "draining"
    story.tell(Ensure())
    assert story.observes(running=0, progress=None) == (Terminate(1),)
    story.dies()

    assert (story.phase, story.state.reason, story.state.deaths) == ("backoff", "stopped for memory", ())
    assert story.tell(Ensure(), Tick(), after_s=1e6) == ()
    assert story.tell(Resume()) == (Spawn(2),)
    assert not story.state.no_memory


def test_at_once_means_without_waiting_for_requests_also_while_it_drains() -> None:
    story = Story().ready()

    assert story.tell(Shed("short", at_once=False)) == ()
    assert story.tell(Shed("critical", at_once=True)) == (Terminate(1),)
    assert story.tell(Shed("critical", at_once=True)) == ()
    assert Story().ready().tell(Shed("critical", at_once=True)) == (Terminate(1),)


def test_an_engine_that_leaves_by_order_is_hurried_up_and_does_not_come_back() -> None:
    story = Story().ready()
    story.tell(Drain(), Shed("critical", at_once=True))
    story.dies()

    assert story.phase == "stopped"
    assert story.tell(Resume()) == ()


def test_an_engine_without_room_waits_and_counts_no_death() -> None:
    story = Story()
    for _ in range(2 * POLICY.quarantine_deaths):
        assert story.tell(Ensure(), Resume())[-1:] == (Spawn(story.state.generation),)
        story.tell(Exited(story.state.generation, "waits for memory: needs 9 GiB", no_room=True))
        assert (story.phase, story.state.reason) == ("backoff", "waits for memory: needs 9 GiB")
        assert next_wake_s(story.state, POLICY) is None

    assert story.state.deaths == ()
    story.tell(Stop())
    assert story.phase == "stopped"


def test_a_real_death_is_not_resumed_before_its_time() -> None:
    story = Story().ready()
    story.dies()

    assert story.tell(Resume()) == ()


def test_news_of_an_earlier_generation_changes_nothing() -> None:
    story = Story().ready()
    story.dies()
    story.tell(Tick(), after_s=POLICY.backoff_last_s)
    before = story.state

    assert story.tell(Exited(1, "late"), Probed(1, True, True), Observed(1, True, 1, 1)) == ()
    assert story.state == before


# --- laws

_generations = st.integers(min_value=0, max_value=6)
_orders = st.one_of(
    st.builds(Ensure, st.booleans()), st.just(Drain()), st.just(Stop()), st.just(Tick()), st.just(Resume())
)
_sheds = st.builds(Shed, st.just("short"), st.booleans())
_news = st.one_of(
    st.builds(Probed, _generations, st.booleans(), st.booleans()),
    st.builds(Observed, _generations, st.booleans(), st.none() | st.integers(0, 3), st.none() | st.integers(0, 99)),
    st.builds(Exited, _generations, st.just("exited"), st.booleans(), st.booleans()),
)
_moments = st.lists(
    st.tuples(_orders | _sheds | _news, st.sampled_from([0.0, 0.5, 3.0, 60.0, 121.0, 901.0])), max_size=60
)


@given(_moments)
def test_no_story_has_two_processes_at_once_or_leaks_one(moments: list[tuple[Event, float]]) -> None:
    state, now_s, alive = Lifecycle(), 0.0, 0
    for event, pause_s in moments:
        now_s += pause_s
        ended = state.generation if isinstance(event, Exited) and event.generation == state.generation else None
        had_process = state.alive
        state, effects = step(state, event, now_s, POLICY)
        if ended is not None and had_process:
            assert effects[0] == Reap(ended)
            alive -= 1
        for effect in effects:
            match effect:
                case Spawn():
                    assert alive == 0, "a second process"
                    alive += 1
                case Terminate() | Kill():
                    assert alive == 1, "a signal to nobody"
        assert state.alive == (alive == 1)
        if state.phase in ("stopped", "backoff", "quarantined"):
            assert alive == 0, "a process nobody waits for"


@given(_moments)
def test_every_story_can_be_ended_by_stop_grace_and_the_death_that_follows(moments: list[tuple[Event, float]]) -> None:
    state, now_s = Lifecycle(), 0.0
    for event, pause_s in moments:
        now_s += pause_s
        state, _ = step(state, event, now_s, POLICY)
    had_process = state.alive
    state, effects = step(state, Stop(), now_s, POLICY)
    state, late = step(state, Tick(), now_s + POLICY.stop_grace_s, POLICY)
    if had_process:
        assert any(isinstance(effect, Terminate | Kill) for effect in effects + late)
        state, _ = step(state, Exited(state.generation, "killed"), now_s + 20, POLICY)

    assert (state.phase, state.alive) == ("stopped", False)
    assert next_wake_s(state, POLICY) is None


@given(st.lists(st.floats(min_value=0.0, max_value=60.0), min_size=5, max_size=30))
def test_an_engine_that_keeps_dying_at_start_is_always_quarantined(lives_s: list[float]) -> None:
    state, _ = step(Lifecycle(), Ensure(), 0.0, POLICY)
    now_s = 0.0
    for life_s in lives_s:
        now_s += life_s
        state, _ = step(state, Exited(state.generation, "exited"), now_s, POLICY)
        now_s += POLICY.backoff_last_s
        state, _ = step(state, Tick(), now_s, POLICY)

    assert state.phase == "quarantined"
    assert state.generation == POLICY.quarantine_deaths
