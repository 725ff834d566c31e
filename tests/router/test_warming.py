"""What an idle machine reads ahead: shared beginnings only, where nobody is, in room that nobody needs, a piece at a
time; and what is kept until then is bounded."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from inventory.catalog import ModelName
from nodes.rates import Rates
from nodes.snapshot import EngineId, NodeId
from router.foresight import EngineFacts, Foresight, Question
from router.prefix_index import PrefixIndex, chain_of
from router.strangers import Report
from router.warming import LEAST_TOKENS, PIECE_S, QUIET_S, SHARE, Beginning, Spot, WarmUp, choose
from router.warming_counts import LEAST_SESSIONS, SharedBeginnings
from router.warming_texts import HeldTexts

BLOCK = 64
TOY = ModelName("toy")
RATES = Rates(1000.0, 1e9, 0.01, 0.0, 0.0)


def beginning(blocks: int = 32, seen_s: float = 0.0, model: str = TOY, tenant: str = "home") -> Beginning:
    chain = chain_of(tenant, b"%d " % blocks * BLOCK * blocks, BLOCK)[:blocks]
    return Beginning(tenant, ModelName(model), chain, seen_s)


def spot(
    name: str = "mac", cache_tokens: int = 500_000, quiet_s: float = QUIET_S, live: int = 0, model: str = TOY
) -> Spot:
    return Spot(
        EngineId(f"toy.{name}"), NodeId(name), ModelName(model), 1000.0, quiet_s, PrefixIndex(cache_tokens),
        context_tokens=32_000, slots=4, live_tokens=live,
    )  # fmt: skip


def chosen(*spots: Spot, waiting: int = 0) -> WarmUp | None:
    return choose([beginning()], spots, waiting)


def test_the_idle_engine_with_the_most_room_reads_it_and_the_reason_says_why() -> None:
    found = chosen(spot("cpu", 65_000), spot("mac"))

    assert found is not None
    assert found.engine_id == "toy.mac"
    assert found.reason.startswith("several sessions began with these 2,048 tokens, of which 0 are cached there")


def test_nothing_is_read_while_anybody_waits_or_where_somebody_was_a_moment_ago() -> None:
    assert chosen(spot(), waiting=1) is None
    assert chosen(spot(quiet_s=QUIET_S - 0.1)) is None


def test_a_small_or_full_cache_is_left_alone() -> None:
    assert chosen(spot(cache_tokens=8_000)) is None
    assert chosen(spot(live=490_000)) is None


def test_what_is_cached_is_not_read_again_and_pieces_go_on_from_there() -> None:
    mac, wanted = spot(), beginning()
    last = []
    while (piece := choose([wanted], [mac], 0)) is not None:
        mac.index.insert(piece.chain)
        last.append(piece.last)

    assert last == [False, True]  # of 2,048 tokens, a thousand a second; what is left then is not worth a piece
    assert mac.index.match(wanted.chain) >= len(wanted.chain) * BLOCK - LEAST_TOKENS


def test_an_engine_that_lacks_what_the_prompts_need_does_not_read_them() -> None:
    needs = Beginning("home", TOY, beginning().chain, 0.0, frozenset({"tool_choice"}))
    plain = spot()
    lacking = Spot(plain.engine_id, plain.node_id, TOY, 1000.0, QUIET_S, plain.index, 32_000, 4,
                   lacks=frozenset({"tool_choice"}))  # fmt: skip

    assert choose([needs], [plain], 0) is not None
    assert choose([needs], [lacking], 0) is None


names, models = st.sampled_from(["mac", "gpu", "cpu"]), st.sampled_from(["toy", "other"])
tokens = st.integers(1_000, 600_000)
spots = st.builds(spot, names, tokens, st.floats(0, 60), tokens, models)
beginnings = st.builds(beginning, st.integers(1, 400), st.floats(0, 100), models)


@given(st.lists(beginnings, max_size=6), st.lists(spots, max_size=4), st.integers(0, 2))
def test_whatever_is_chosen_is_in_nobodys_way(shared: list[Beginning], engines: list[Spot], waiting: int) -> None:
    found = choose(shared, engines, waiting)
    if found is None:
        return
    where = [one for one in engines if (one.engine_id, one.model) == (found.engine_id, found.beginning.model)]
    assert waiting == 0
    assert found.beginning in shared
    assert any(_fits(found, one) for one in where)


def _fits(found: WarmUp, on: Spot) -> bool:
    whole, cached = len(found.beginning.chain) * BLOCK, on.index.match(found.beginning.chain)
    piece = len(found.chain) * BLOCK - cached
    return (
        on.quiet_s >= QUIET_S
        and whole <= SHARE * on.room_tokens
        and whole - cached >= LEAST_TOKENS
        and 0 < piece <= max(on.tokens_per_s * PIECE_S, BLOCK)
    )


@dataclass(frozen=True)
class Asked:
    tenant: str
    session: int
    document: int


@given(st.lists(st.builds(Asked, st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 2)), max_size=60))
def test_a_beginning_is_shared_by_sessions_of_one_tenant_and_never_by_two_tenants(requests: list[Asked]) -> None:
    shared, sessions = SharedBeginnings(), dict[tuple[str, int], set[int]]()
    for one in requests:
        text = b"document %d " % one.document * 40
        chain = chain_of(one.tenant, text + b"question of %d" % one.session * 20, BLOCK)
        of_one = sessions.setdefault((one.tenant, one.document), set())
        of_one.add(one.session)
        blocks = shared.seen(TOY, chain, (one.tenant, one.session))
        common = len(chain_of(one.tenant, text, BLOCK))

        if len(of_one) < LEAST_SESSIONS:
            assert blocks * BLOCK < len(b"document 0 ") + BLOCK  # what documents have in common, at most
        else:
            assert common <= blocks <= common + 1


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=40), st.integers(1, 100))
def test_what_is_known_of_sessions_is_bounded(requests: list[tuple[int, int]], most: int) -> None:
    shared = SharedBeginnings(most_blocks=most)
    for blocks, session in requests:
        shared.seen(TOY, beginning(blocks).chain, session)

        assert len(shared) <= most


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 90), st.floats(0, 100)), max_size=40))
def test_texts_are_bounded_and_go_when_nobody_asks_for_them(kept: list[tuple[int, int, float]]) -> None:
    texts, now_s = HeldTexts[str](most_bytes=100, most_of_one=60, kept_s=50.0), 0.0
    sizes: dict[object, int] = {}
    for blocks, size_bytes, passed_s in kept:
        now_s += passed_s
        texts.expire(now_s)
        one = beginning(blocks, now_s)
        texts.keep(one, "text", size_bytes)
        sizes[one.chain[-1]] = size_bytes
        held = list(texts.beginnings())

        assert texts.held_bytes == sum(sizes[other.chain[-1]] for other in held) <= 100
        assert all(now_s - other.seen_s <= 50.0 for other in held)
        assert (texts.text(one) is None) == (size_bytes > 60)
    texts.expire(now_s + 51.0)
    assert (len(texts), texts.held_bytes) == (0, 0)


def test_an_engine_that_warms_is_idle_and_its_own_word_does_not_make_a_stranger_of_it() -> None:
    foresight, engine_id = Foresight(), EngineId("toy.mac")

    def heard(running: int, now_s: float) -> float:
        foresight.follow([EngineFacts(engine_id, NodeId("mac"), RATES, 4, 500_000, report=Report(now_s, running, 0))])
        foresight.look_again(now_s)
        found = foresight.spot(engine_id, TOY, 32_000, frozenset(), now_s)
        assert found is not None
        return found.quiet_s

    heard(0, 1.0)
    foresight.warms(engine_id, 1)
    assert [heard(1, now_s) for now_s in (10.0, 11.0, 12.0)] == [10.0, 11.0, 12.0]
    foresight.warms(engine_id, -1)
    assert heard(1, 13.0) == 13.0  # an old word
    assert heard(1, 20.0) == 0.0  # whose is this?
    standing = foresight.prospect(Question(10, "kind"), [engine_id], 20.0)
    assert standing is not None
    assert standing.standings[engine_id].in_flight == 1
