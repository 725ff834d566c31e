from dataclasses import replace

from cluster.capacity import capacity_tokens, engine_rooms
from cluster.snapshot import ClusterSnapshot, NodeView
from nodes.snapshot import EngineLoad, EngineSnapshot, NodeId
from support.cluster_facts import engine, node


def view(name: str, *engines: EngineSnapshot) -> NodeView:
    return NodeView(NodeId(name), "ready", "", 0.0, "local", node(name, engines=engines))


def cluster(*nodes: NodeView) -> ClusterSnapshot:
    return ClusterSnapshot(1, "home", 1, 1, 1, 1000.0, nodes, ())


def loaded(name: str, cache_tokens: int = 0, **load: object) -> EngineSnapshot:
    facts = EngineLoad(**load)  # type: ignore[arg-type]  # the tests name fields of the load
    return replace(engine(name), context_tokens=2048, cache_tokens=cache_tokens, load=facts)


def test_slots_that_are_free_have_their_context_each() -> None:
    (room,) = engine_rooms(cluster(view("box", loaded("small.box.1", slots=4, running=1))))

    assert (room.users, room.users_free, room.tokens, room.tokens_free) == (4, 3, 8192, 6144)


def test_a_shared_cache_has_what_the_engine_says_it_has() -> None:
    shared = loaded("small.box.1", cache_tokens=5000, slots=4, running=4, kv_used=0.75)
    (room,) = engine_rooms(cluster(view("box", shared)))

    assert (room.users_free, room.tokens, room.tokens_free) == (0, 5000, 1250)


def test_what_an_engine_does_not_tell_is_unknown() -> None:
    (room,) = engine_rooms(cluster(view("box", loaded("small.box.1"))))

    assert (room.users, room.users_free, room.tokens, room.tokens_free) == (None, None, None, None)
    assert capacity_tokens(loaded("small.box.1")) is None
    (room,) = engine_rooms(cluster(view("box", loaded("small.box.1", cache_tokens=5000, slots=4, running=1))))
    assert room.tokens_free is None  # how much of what is shared is used, nobody said


def test_machines_and_engines_that_take_nothing_new_have_no_room() -> None:
    stopped = replace(loaded("other.box.1", slots=4, running=0), state="draining")
    emptied = replace(view("mac", loaded("small.mac.1", slots=4, running=0)), state="draining")

    assert engine_rooms(cluster(view("box", stopped), emptied)) == ()
