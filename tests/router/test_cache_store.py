import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inventory.catalog import ArtifactId, ModelName, ModelRef
from inventory.secret_files import ExposedSecretError
from router.cache_store import (
    CacheStore,
    CacheUnreadableError,
    CacheVersionError,
    Entry,
    NoCacheError,
    clear,
    kept_in,
    open_cache,
)
from router.dialects import chat
from router.given_again import key_of
from support.manual_clock import ManualClock

TENANTS = st.sampled_from(["home", "school", "home\0", ""])
REVISIONS = st.sampled_from(["r1", "r2", "r1\0"])
MODELS = st.sampled_from(["toy", "toy2"])
QUESTIONS = st.sampled_from(["Why?", "Why? ", "How?"])
TTL_S = 100.0


class Tenants(RuleBasedStateMachine):
    """What was answered to whom, kept in a dict beside the store; an answer names everything that it depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.store = CacheStore(Path(self.directory.name) / "cache.db", self.clock, lambda: 1 << 30)
        self.given: dict[tuple[str, str, str, str], float] = {}

    @rule(tenant=TENANTS, model=MODELS, revision=REVISIONS, question=QUESTIONS)
    def ask(self, tenant: str, model: str, revision: str, question: str) -> None:
        identity = (tenant, model, revision, question)
        place, answer = key(*identity), repr(identity).encode()
        found = self.store.find("answers", tenant, (place,), self.clock.wall_s() - TTL_S).get(place)
        known_s = self.given.get(identity)
        if known_s is not None and known_s > self.clock.wall_s() - TTL_S:
            assert found == answer
        else:
            assert found is None
            self.store.keep((Entry(place, "answers", tenant, model, answer),))
            self.store.flush()
            self.given[identity] = self.clock.wall_s()

    @rule(tenant=TENANTS, foreign=TENANTS, model=MODELS, revision=REVISIONS, question=QUESTIONS)
    def ask_with_the_key_of_another(self, tenant: str, foreign: str, model: str, revision: str, question: str) -> None:
        if tenant != foreign:
            assert not self.store.find("answers", tenant, (key(foreign, model, revision, question),), 0.0)

    @rule(tenant=st.none() | TENANTS.filter(bool), model=st.none() | MODELS)
    def clear(self, tenant: str | None, model: str | None) -> None:
        gone = [one for one in self.given if tenant in (None, one[0]) and model in (None, one[1])]
        assert clear(Path(self.directory.name) / "cache.db", None, tenant, model) == len(gone)
        for one in gone:
            del self.given[one]

    @rule(seconds=st.floats(0.1, 2 * TTL_S))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def nothing_more_is_kept(self) -> None:
        assert sum(one.entries for one in kept_in(Path(self.directory.name) / "cache.db")) == len(self.given)

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()


def key(tenant: str, model: str, revision: str, question: str) -> bytes:
    ref = ModelRef(ModelName(model), revision, ArtifactId("a" * 64), None, None)
    body = b'{"model": "x", "messages": [{"role": "user", "content": "%b"}]}' % question.encode()
    return key_of(tenant, ref, chat.parse(body))


TestTenants = Tenants.TestCase
TestTenants.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


def test_a_full_cache_forgets_what_was_not_used_for_the_longest_time(tmp_path: Path) -> None:
    clock = ManualClock()
    store = CacheStore(tmp_path / "cache.db", clock, lambda: 1000)
    for number in range(9):
        store.keep((Entry(b"%d" % number, "answers", "home", "toy", b"x" * 100),))
        store.flush()
        clock.advance(1)
    store.find("answers", "home", (b"0",), 0.0)
    store.keep((Entry(b"last", "answers", "home", "toy", b"x" * 250),))
    store.flush()

    found = store.find("answers", "home", [b"%d" % number for number in range(9)] + [b"last"], 0.0)
    assert sorted(found) == [b"0", b"4", b"5", b"6", b"7", b"8", b"last"]
    store.close()


def test_a_thousand_keys_are_found_at_once(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.db", ManualClock(), lambda: 1 << 30)
    keys = [number.to_bytes(4, "big") for number in range(2048)]
    store.keep([Entry(one, "vectors", "home", "toy", one) for one in keys])
    store.flush()
    assert store.find("vectors", "home", keys, 0.0) == {one: one for one in keys}
    assert store.find("answers", "home", keys, 0.0) == {}
    store.close()


def test_what_is_cleared_cannot_be_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    store = CacheStore(path, ManualClock(), lambda: 1 << 30)
    store.keep((Entry(b"k", "answers", "home", "toy", b"a private thing to say"),))
    store.close()
    assert clear(path) == 1
    assert all(b"private thing" not in file.read_bytes() for file in tmp_path.iterdir())


def test_files_that_cannot_be_used_say_so(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    with pytest.raises(NoCacheError, match="state-dir"):
        kept_in(path)
    path.write_bytes(b"not a database" * 100)
    path.chmod(0o600)
    with pytest.raises(CacheUnreadableError, match="remove it"):
        kept_in(path)
    path.unlink()
    open_cache(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(CacheVersionError, match="99"):
        kept_in(path)
    path.chmod(0o644)
    with pytest.raises(ExposedSecretError, match="chmod 600"):
        clear(path)
