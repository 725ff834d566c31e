"""The dashboard's pure parts: merge patches, the last minute, what happened, whose memory it is, sessions, cookies."""

from dataclasses import replace
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.snapshot import ClusterSnapshot, NodeView
from inventory.hardware import GIB, Hardware, Host, MemoryPool, PoolId, PoolKind
from nodes.snapshot import EngineSnapshot, MemoryItem, NodeId, NodeSnapshot
from router.accounting import RequestRecord
from router.call_report import NO_MODEL
from router.dashboard.cookie import own_page, same_origin, session_id
from router.dashboard.happenings import happenings
from router.dashboard.live import SAMPLES, LastMinute
from router.dashboard.memory import Parts, pools_of
from router.dashboard.patch import bare, difference, patched
from router.dashboard.sessions import IDLE_S, MOST, KeyHolder, Sessions
from support.gateway import cluster_of, engine_at

NAMES = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 2) | st.text("xy", max_size=2)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4).map(bare)


@given(st.lists(DOCUMENTS, min_size=1, max_size=6))
def test_a_snapshot_and_the_deltas_after_it_make_the_state(states: list[dict[str, object]]) -> None:
    document: object = states[0]
    for before, after in pairwise(states):
        document = patched(document, difference(before, after))
        assert same(document, after)


@given(DOCUMENTS)
def test_nothing_changed_is_an_empty_patch(document: dict[str, object]) -> None:
    assert difference(document, document) == {}


def same(one: object, other: object) -> bool:
    """1 and True and 1.0 are different JSON."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # from RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patches_are_applied_as_the_rfc_does(target: object, patch: object, result: object) -> None:
    assert patched(target, patch) == result


def ended(**more: object) -> RequestRecord:
    facts: dict[str, object] = {
        "version": 1, "request_id": "r", "client_request_id": None, "api": "chat", "tenant": "t", "key_id": "k",
        "group": "g", "data_class": "private", "priority": 0, "model_asked": "toy", "model": "toy", "stream": True,
        "arrived_wall_s": 0.0, "duration_s": 2.0, "status": 200, "outcome": "ok", "error_code": None, "node_id": "box",
        "first_byte_s": 0.5, "input_tokens": 100, "cached_tokens": 25, "output_tokens": 16,
    }  # fmt: skip
    return RequestRecord(**(facts | more))  # type: ignore[arg-type]  # a test names what it changes


def test_figures_are_of_the_last_minute_and_of_nothing_before_it() -> None:
    minute = LastMinute(0.0)
    minute.take([ended()] * 3, 100.0)
    minute.take([ended(model="other", node_id=None, cached_tokens=None)], 130.0)
    live = minute.figures(130.0, {("toy", "box"): 2}, {"other": 4})
    toy, box, later = live.by_model["toy"], live.by_node["box"], minute.figures(161.0, {}, {})

    assert (live.in_flight, live.waiting, live.requests_per_s) == (2, 4, round(4 / 60, 3))
    assert (toy.in_flight, toy.waiting, toy.output_tokens_per_s, toy.cached_ratio) == (2, 0, 0.8, 0.25)
    assert (toy.ttft_p50_s, toy.tpot_p99_s) == (0.5, 0.1)
    assert (box.in_flight, box.waiting, box.requests_per_s) == (2, None, 0.05)
    assert (live.by_model["other"].waiting, live.by_model["other"].cached_ratio) == (4, None)
    assert set(later.by_model) == {"other"}
    assert later.by_node == {}


def test_times_are_of_streams_that_ended_well_and_a_refusal_is_no_request() -> None:
    minute = LastMinute(0.0)
    minute.take([ended(stream=False), ended(outcome="cancelled"), ended(model=NO_MODEL, status=404)], 10.0)
    live = minute.figures(10.0, {}, {})

    assert (live.requests_per_s, list(live.by_model)) == (0.2, ["toy"])
    assert live.by_model["toy"].ttft_p50_s is None


def test_a_gateway_that_is_young_has_rates_over_its_own_age() -> None:
    minute = LastMinute(50.0)
    minute.take([ended()] * 10, 55.0)

    assert minute.figures(60.0, {}, {}).requests_per_s == 1.0


def test_a_busy_second_keeps_few_times_and_counts_all() -> None:
    minute = LastMinute(0.0)
    minute.take([ended(first_byte_s=0.1)] * SAMPLES + [ended(first_byte_s=9.0)] * 1000, 60.0)
    live = minute.figures(60.0, {}, {})

    assert live.requests_per_s == round((SAMPLES + 1000) / 60, 3)
    assert live.by_model["toy"].ttft_p99_s == 0.1


def cluster(*nodes: NodeView, revision: int = 1) -> ClusterSnapshot:
    return replace(cluster_of([]), nodes=nodes, config_revision=revision, taken_at_s=7.0)


def box(name: str, state: str = "ready", reason: str = "", engines: tuple[EngineSnapshot, ...] = ()) -> NodeView:
    view = cluster_of(engines).nodes[0]
    return replace(view, node_id=NodeId(name), state=state, reason=reason)  # type: ignore[arg-type]  # a literal


def test_the_first_snapshot_is_no_news() -> None:
    assert happenings(None, cluster(box("one"))) == ()


def test_what_changed_between_two_snapshots_is_told_with_its_reason() -> None:
    engine = engine_at(None)
    starting = replace(engine, state="starting", reason="loading weights")
    again = replace(engine, generation=2, state="backoff", reason="exited with signal 9")
    before = cluster(box("gone"), box("one", engines=(starting,)), box("two", engines=(engine,)))
    after = cluster(
        box("new", "joining"),
        box("one", "lost", "silent for 10 s", (engine,)),
        box("two", engines=(again,)),
        revision=2,
    )

    told = [(one.kind, one.text) for one in happenings(before, after)]
    assert ("config", "configuration 2 is in force") in told
    assert ("node_left", "gone left the cluster") in told
    assert ("node_joined", "new joined: joining") in told
    assert ("node_changed", "one: ready → lost: silent for 10 s") in told
    assert happenings(before, after)[0].at == 7.0


def test_engines_and_models_say_what_became_of_them() -> None:
    engine = engine_at(None)
    loading = replace(engine, state="starting", reason="loading weights")
    crashed = replace(engine, generation=2, state="backoff", reason="exited with signal 9")

    def texts(before: EngineSnapshot | None, after: EngineSnapshot | None) -> list[str]:
        was, now = (cluster(box("one", engines=(one,) if one else ())) for one in (before, after))
        return [one.text for one in happenings(was, now)]

    assert texts(None, loading) == ["toy-1 on one: starting: loading weights"]
    assert texts(loading, engine) == ["toy-1 on one: starting → ready: for a test"]
    assert texts(engine, crashed) == ["toy-1 on one: started again, backoff: exited with signal 9"]
    assert texts(engine, None) == ["toy-1: gone from one"]
    assert texts(engine, replace(engine, reason="other words")) == []
    asleep = replace(cluster_of([]), models=(replace(cluster_of([]).models[0], state="asleep", reason="idle"),))
    assert [one.text for one in happenings(cluster_of([]), asleep)] == ["toy: ready → asleep: idle"]


def machine(engines: list[EngineSnapshot], *pools: MemoryPool) -> NodeSnapshot:
    host = Host("linux", "", "", None, None, None, None)
    hardware = Hardware(host, pools=pools, accelerators=(), disk=None, cpu_load=None)
    return NodeSnapshot(NodeId("box"), "default", 0.0, hardware, (), tuple(engines), ())


def pool(kind: PoolKind, name: str, others: int | None = 2 * GIB) -> MemoryPool:
    return MemoryPool(PoolId(name), kind, 16 * GIB, others, GIB)


def item(size: int, *terms: str) -> MemoryItem:
    return MemoryItem(terms, size)  # type: ignore[arg-type]  # literals


def test_memory_is_taken_apart_by_the_engines_own_account() -> None:
    items = (item(3 * GIB, "weights"), item(GIB, "kv cache"), item(GIB // 2, "recurrent state"))
    llama = replace(engine_at(None), memory_bytes=5 * GIB, memory_items=items)
    found = pools_of(machine([llama], pool("ram", "ram")))["ram"]

    assert found.budget_bytes == 13 * GIB
    assert found.parts == Parts(
        weights=3 * GIB, kv=3 * GIB // 2, runtime=GIB // 2, engines=0, other=2 * GIB, free=8 * GIB
    )


@pytest.mark.parametrize(
    "items",
    [(), (item(3 * GIB, "weights", "kv cache"),), (item(9 * GIB, "weights"),)],
    ids=["no account", "one figure for several things", "more than there is"],
)
def test_what_no_account_takes_apart_is_one_piece(items: tuple[MemoryItem, ...]) -> None:
    engine = replace(engine_at(None), memory_bytes=5 * GIB, memory_items=items)
    parts = pools_of(machine([engine], pool("unified", "unified")))["unified"].parts

    assert (parts.weights, parts.kv, parts.runtime, parts.engines, parts.free) == (0, 0, 0, 5 * GIB, 8 * GIB)


def test_weights_that_are_not_told_may_be_in_the_rest() -> None:
    engine = replace(engine_at(None), memory_bytes=5 * GIB, memory_items=(item(2 * GIB, "kv cache"),))
    parts = pools_of(machine([engine], pool("ram", "ram")))["ram"].parts

    assert (parts.weights, parts.kv, parts.runtime, parts.engines) == (0, 2 * GIB, 0, 3 * GIB)


def test_a_gpus_account_is_of_its_own_memory() -> None:
    items = (item(3 * GIB, "weights"), item(GIB, "kv cache"))
    engine = replace(engine_at(None), memory_bytes=GIB, vram_bytes=5 * GIB, memory_items=items)
    found = pools_of(machine([engine], pool("ram", "ram"), pool("vram", "vram:0")))

    assert (found["vram:0"].parts.weights, found["vram:0"].parts.runtime) == (3 * GIB, GIB)
    assert (found["ram"].parts.weights, found["ram"].parts.runtime) == (0, GIB)


def test_what_cannot_be_told_is_not_guessed() -> None:
    unread = replace(engine_at(None), memory_bytes=None)
    busy = replace(engine_at(None), memory_bytes=GIB, vram_bytes=5 * GIB)
    hidden = pools_of(machine([unread], pool("ram", "ram")))["ram"].parts
    two = pools_of(machine([busy], pool("vram", "vram:0"), pool("vram", "vram:1")))["vram:1"].parts
    nobody = pools_of(machine([], pool("ram", "ram", others=None)))["ram"]

    assert hidden == two == Parts(other=2 * GIB)
    assert (nobody.budget_bytes, nobody.parts.free, nobody.parts.weights) == (None, None, 0)


KEY_HOLDER = KeyHolder("key")


def sessions() -> Sessions:
    numbers = count()
    return Sessions(lambda: f"s{next(numbers)}")


def test_a_session_lives_for_as_long_as_it_is_used() -> None:
    kept = sessions()
    name = kept.begin(KEY_HOLDER, 0.0)

    assert kept.holder_of(name, IDLE_S - 1) == KEY_HOLDER
    assert kept.holder_of(name, 2 * IDLE_S - 2) == KEY_HOLDER
    assert kept.holder_of(name, 3 * IDLE_S - 2) is None
    assert kept.holder_of(name, 0.0) is None


def test_looking_at_a_session_is_no_use_of_it() -> None:
    kept = sessions()
    name = kept.begin(KEY_HOLDER, 0.0)

    assert kept.holder_of(name, IDLE_S - 1, use=False) == KEY_HOLDER
    assert kept.holder_of(name, IDLE_S, use=False) is None


def test_a_session_that_was_ended_is_nobodys() -> None:
    kept = sessions()
    name = kept.begin(KEY_HOLDER, 0.0)
    kept.end(name)
    kept.end("never was")

    assert kept.holder_of(name, 1.0) is None


def test_of_too_many_sessions_the_one_idle_for_longest_ends() -> None:
    kept = sessions()
    names = [kept.begin(KEY_HOLDER, 0.0) for _ in range(MOST)]
    kept.holder_of(names[0], 1.0)
    kept.begin(KEY_HOLDER, 2.0)

    assert (kept.holder_of(names[0], 3.0), kept.holder_of(names[1], 3.0)) == (KEY_HOLDER, None)


HOST = {b"host": b"cluster.lan:8400"}
MARK = {b"x-potluck-dashboard": b"1"}


@pytest.mark.parametrize(
    ("method", "more", "own"),
    [
        ("GET", {}, True),
        ("GET", {b"sec-fetch-site": b"none"}, True),
        ("GET", {b"sec-fetch-site": b"same-site"}, False),
        ("GET", {b"sec-fetch-site": b"cross-site"}, False),
        ("GET", {b"origin": b"http://localhost:3000"}, False),
        ("POST", {}, False),
        ("POST", MARK, False),
        ("POST", {b"sec-fetch-site": b"same-origin"}, False),
        ("POST", MARK | {b"sec-fetch-site": b"same-origin"}, True),
        ("POST", MARK | {b"origin": b"https://cluster.lan:8400"}, True),
        ("POST", MARK | {b"origin": b"https://CLUSTER.lan:8400"}, True),
        ("POST", MARK | {b"origin": b"null"}, False),
        ("POST", MARK | {b"origin": b"https://cluster.lan"}, False),
        ("POST", MARK | {b"origin": b"https://cluster.lan:8400", b"sec-fetch-site": b"cross-site"}, False),
        ("DELETE", {b"x-potluck-dashboard": b"yes", b"sec-fetch-site": b"same-origin"}, False),
    ],
)
def test_a_cookie_counts_for_the_own_page_only(method: str, more: dict[bytes, bytes], own: bool) -> None:
    assert own_page(method, HOST | more) is own


def test_a_login_from_another_page_is_known_by_the_browsers_word() -> None:
    assert same_origin(HOST)
    assert not same_origin(HOST | {b"origin": b"http://evil.example"})


@pytest.mark.parametrize(
    ("jar", "found"),
    [
        (b"potluck_session=abc", "abc"),
        (b'odd="a b; {x}; potluck_session=abc; z', "abc"),
        (b"xpotluck_session=abc", None),
        (b"", None),
    ],
)
def test_the_session_is_found_among_whatever_else_lies_in_the_jar(jar: bytes, found: str | None) -> None:
    assert session_id({b"cookie": jar}) == found
    assert session_id({}) is None
