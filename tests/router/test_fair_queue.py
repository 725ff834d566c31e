"""Whose turn it is, by classes and by what users had; and that over the wire nobody is starved by a script."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from cluster.limits import GroupLimits, LimitRules, Limits
from router.fair_queue import MOST_COUNTERS, FairQueue, service
from router.waiting_caps import WaitingCaps
from support.gateway import Running, access_with, engine_at, key_record, running_gateway
from support.nodes import until
from support.upstream import Asked, scripted_upstream, whole

SLOTS = 2
CHAT = "/v1/chat/completions"


def drained(queue: FairQueue[str], tokens: float = 10) -> list[str]:
    """Whom it lets go on until nobody waits, each served so much. Items are named USER-NUMBER."""
    found: list[str] = []
    while (item := queue.head()) is not None:
        found.append(item)
        queue.take(item, tokens)
    return found


def filled(*items: str) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for item in items:
        queue.add(item, item[0])
    return queue


def test_users_take_turns_however_much_one_of_them_asks() -> None:
    queue = filled("a-1", "a-2", "a-3", "a-4", "b-1", "b-2")
    assert drained(queue) == ["a-1", "b-1", "a-2", "b-2", "a-3", "a-4"]


def test_of_one_user_the_first_to_come_is_the_first_to_go() -> None:
    assert drained(filled("a-3", "a-1", "a-2")) == ["a-3", "a-1", "a-2"]


def test_a_higher_class_goes_first_whatever_it_had() -> None:
    queue = filled("a-1", "a-2")
    queue.charge("b", 1000)
    queue.add("b-1", "b", 1)
    queue.add("c-1", "c", -1)
    assert drained(queue) == ["b-1", "a-1", "a-2", "c-1"]


def test_turns_are_by_tokens_and_not_by_requests() -> None:
    queue = filled("a-1", "a-2", "a-3", "b-1", "b-2", "b-3", "b-4")
    order: list[str] = []
    while (item := queue.head()) is not None:
        order.append(item)
        queue.take(item, 100 if item[0] == "a" else 40)
    assert order == ["a-1", "b-1", "b-2", "b-3", "a-2", "b-4", "a-3"]
    assert service(100, 50.0) == 200.0


def test_nobody_saves_up_by_staying_away_nor_pays_for_what_disturbed_nobody() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.charge("a", 1_000_000)  # alone here
    for item in ("a-1", "a-2", "b-1", "b-2"):
        queue.add(item, item[0])
    assert drained(queue) == ["a-1", "b-1", "a-2", "b-2"]


def test_who_comes_while_others_wait_begins_where_they_stand() -> None:
    queue = filled("a-1", "a-2", "a-3", "a-4")
    for item in ("a-1", "a-2"):
        queue.take(item, 100)
    queue.add("b-1", "b")
    queue.add("b-2", "b")
    assert drained(queue, 100) == ["a-3", "b-1", "a-4", "b-2"]


def test_what_was_expected_too_high_is_given_back_and_too_low_charged() -> None:
    queue = filled("a-1", "a-2", "b-1", "b-2")
    queue.take("a-1", 500)
    queue.charge("a", -500)
    assert queue.head() == "a-2"
    queue.charge("a", 600)
    assert drained(queue) == ["b-1", "b-2", "a-2"]


def test_one_that_cannot_go_yet_holds_up_nobody_else() -> None:
    queue = filled("a-1", "a-2", "b-1")
    assert list(queue.in_order(12)) == ["a-1", "a-2", "b-1"]
    assert list(queue.in_order(2)) == ["a-1", "a-2"]
    queue.take("b-1", 10)
    assert (len(queue), "b-1" in queue, queue.remove("b-1")) == (2, False, False)


def test_it_tells_how_long_one_that_comes_now_will_wait() -> None:
    queue = filled("a-1", "a-2", "a-3")
    assert queue.expected_wait_s("a") is None
    for item, now_s in (("a-1", 10.0), ("a-2", 12.0), ("a-3", 14.0)):
        queue.remove(item)
        queue.went_on(now_s)
    queue.add("a-4", "a")
    assert queue.expected_wait_s("a") == 2 * 2.0
    queue.went_on(1000.0)  # nobody had waited in between
    assert queue.expected_wait_s("a") == 2 * 2.0


def test_who_stands_behind_a_script_expects_its_own_turn_and_not_the_last_one() -> None:
    queue = filled("b-1", "s-0", *(f"s-{number}" for number in range(1, 30)))
    queue.went_on(0.0)
    queue.take("s-0", 10)
    queue.went_on(1.0)
    queue.add("t-1", "t", 1)

    assert queue.expected_wait_s("b", 0, "b-1") == 1.0 + 1.0  # behind the one of a higher class
    assert queue.expected_wait_s("s", 0, "s-29") == 28 + 2 + 1.0
    assert queue.expected_wait_s("new") == 1.0 + 2 * 1.0
    assert queue.expected_wait_s("t", 1, "t-1") == 1.0


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=40), st.integers(0, 39))
def test_where_all_take_as_much_the_place_in_line_is_right_to_a_request_of_each_user(users: list[str], at: int) -> None:
    items = [f"{user}-{number}" for number, user in enumerate(users)]
    queue, asked = filled(*items), items[at % len(items)]
    queue.went_on(0.0)
    queue.went_on(1.0)
    expected = queue.expected_wait_s(asked[0], 0, asked)
    order = drained(queue)

    assert expected is not None
    assert abs(expected - 1 - order.index(asked)) < len(set(users))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(1, 100)), min_size=1, max_size=60))
def test_two_who_both_wait_are_never_further_apart_than_one_request(asked: list[tuple[str, float]]) -> None:
    costs = {f"{user}-{number}": cost for number, (user, cost) in enumerate(asked)}
    queue, served = filled(*costs), dict.fromkeys("abc", 0.0)
    while (item := queue.head()) is not None:
        queue.take(item, costs[item])
        served[item[0]] += costs[item]
        waiting = [served[user] for user in {one[0] for one in queue.items()}]
        assert not waiting or max(waiting) - min(waiting) <= max(costs.values()) + 1e-6


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from("abc"), st.integers(-1, 1)),
            st.tuples(st.just("go"), st.just(""), st.integers(1, 500)),
            st.tuples(st.just("leave"), st.just(""), st.integers(0, 50)),
        ),
        max_size=80,
    )
)
def test_while_two_wait_all_the_time_neither_gets_more_than_one_request_ahead(
    steps: list[tuple[str, str, int]],
) -> None:
    queue = filled("x-0", "x-00", "y-0", "y-00")  # each asks again as soon as it was served, and has another waiting
    waiting: list[str] = []
    served: Counter[str] = Counter()
    largest = 1
    for number, (what, user, amount) in enumerate(steps, start=1):
        if what == "add":
            queue.add(f"{user}-{number}", user, amount)
            waiting.append(f"{user}-{number}")
        elif what == "leave" and waiting:
            assert queue.remove(waiting.pop(amount % len(waiting)))
        elif what == "go":
            item = queue.head()
            assert item is not None
            queue.take(item, amount)
            served[item[0]] += amount
            largest = max(largest, amount)
            if item in waiting:
                waiting.remove(item)
            else:
                queue.add(f"{item[0]}-{number}", item[0])
        assert len(queue) == len(waiting) + 4
    assert abs(served["x"] - served["y"]) <= largest


def test_users_that_are_gone_take_no_memory() -> None:
    queue = filled("a-1")
    for number in range(3 * MOST_COUNTERS):
        queue.add(f"{number}-1", str(number))
        queue.remove(f"{number}-1")
        queue.charge(str(number), 0)
    assert len(queue._counters) <= MOST_COUNTERS + 1


@dataclass
class Engine:
    """Answers one request each time it is told to, the one that came first."""

    asked: list[str] = field(default_factory=list)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def has_been_asked(self, times: int) -> bool:
        return len(self.asked) >= times

    async def script(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        body = json.loads(asked.body)
        self.asked.append(body["messages"][0]["content"].split(" ")[0])
        await self.turns.acquire()
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "toy", "choices": [choice]}
        writer.write(whole(json.dumps({**answer, "usage": usage}).encode()))
        await writer.drain()


@asynccontextmanager
async def school(root: Path, rules: LimitRules, users: str) -> AsyncIterator[tuple[Running, Engine]]:
    """An engine with two slots, and a key for each user, in a group of its name."""
    engine = Engine()
    async with (
        scripted_upstream(engine.script) as upstream,
        running_gateway(
            root, [engine_at(upstream.address, slots=SLOTS, kind="vllm")], waiting=WaitingCaps(of_model=40)
        ) as running,
    ):
        keys = [replace(key_record(key_of(user)), group=user) for user in users]
        running.view.install_access(replace(access_with(running.paths, keys, sequence=2), limits=rules))
        yield running, engine


def key_of(user: str) -> str:
    return f"pl_{user}_" + "s" * 43


async def ask(running: Running, user: str, number: int) -> httpx2.Response:
    async with running.http(key_of(user)) as client:
        body = {"model": "toy", "max_tokens": 10, "messages": [{"role": "user", "content": f"{user} {number}"}]}
        return await client.post(CHAT, json=body)


async def test_a_script_does_not_starve_the_others_and_a_high_priority_goes_first(tmp_path: Path) -> None:
    rules = LimitRules(groups=(("t", GroupLimits(Limits(), Limits(), priority=1)),))
    async with school(tmp_path, rules, "sabt") as (running, engine):
        asks = [asyncio.ensure_future(ask(running, "s", number)) for number in range(20)]
        await running.until_waiting(20 - SLOTS - 1)
        asks += [asyncio.ensure_future(ask(running, user, 0)) for user in "aab"]
        await running.until_waiting(20 - SLOTS - 1 + 3)
        asks.append(asyncio.ensure_future(ask(running, "t", 0)))
        await running.until_waiting(20 - SLOTS - 1 + 4)
        for served in range(len(asks)):
            engine.turns.release()
            await until(partial(engine.has_been_asked, min(len(asks), served + SLOTS + 2)), "the next one")
        answers = await asyncio.gather(*asks)
        await running.until_idle()

        assert {answer.status_code for answer in answers} == {200}
        assert engine.asked[:3] == ["s"] * 3
        assert engine.asked[3] == "t"
        assert engine.asked[4:8].count("s") <= 2
        assert set(engine.asked[4:10]) >= {"a", "b"}
        assert running.in_flight == running.waiting == 0
        assert any(int(answer.headers["x-potluck-queue-ms"]) > 0 for answer in answers)


async def test_beyond_the_limit_a_client_hears_when_to_come_back(tmp_path: Path) -> None:
    async with school(tmp_path, LimitRules(), "sa") as (running, engine):
        asks = [asyncio.ensure_future(ask(running, "s", number)) for number in range(40 + SLOTS + 1)]
        await running.until_waiting(40)
        refused = await ask(running, "a", 0)
        for _ in range(len(asks)):
            engine.turns.release()
        answers = await asyncio.gather(*asks)

        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "saturated")
        assert int(refused.headers["retry-after"]) >= 1
        assert {answer.status_code for answer in answers} == {200}
