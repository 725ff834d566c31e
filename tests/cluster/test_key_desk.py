import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from cluster.admin_keys import KeyBody, facts_of
from cluster.key_desk import KeyDesk
from cluster.key_order import KeyOrder, KeyRefusedError
from cluster.key_records import KeyRecords
from cluster.keys import OwnerKey, key_digest
from cluster.limits import NO_LIMITS, Limits
from cluster.registry import Registry
from cluster.roles import Scope
from cluster.snapshot import KeyRecord
from cluster.totp import secret_of
from inventory.paths import StatePaths
from support.manual_clock import ManualClock

PEPPER = b"a pepper for tests"


@dataclass
class Bench:
    """A desk with its registry, and what gateways were told."""

    records: KeyRecords
    clock: ManualClock
    told: list[tuple[KeyRecord, ...]] = field(default_factory=list)

    @property
    def desk(self) -> KeyDesk:
        return KeyDesk(self.records, PEPPER, self.clock, lambda: self.told.append(self.records.active()))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = ManualClock(wall_s=1000.0)
    with closing(Registry.open(tmp_path / "registry.db", clock)) as registry:
        yield Bench(KeyRecords(registry, clock), clock)


def test_a_made_key_is_stored_as_a_digest_and_told_to_gateways_at_once(bench: Bench) -> None:
    record, key = bench.desk.create(KeyOrder("7b", group="7b", models=("toy",), lifetime_s=60))

    assert re.fullmatch(rf"pl_{record.key_id}_[\w-]{{43}}", key)
    assert record.digest_hex == key_digest(PEPPER, key)
    assert (record.created_s, record.expires_s, record.role) == (1000, 1060, "user")
    assert bench.told == [(record,)]


def test_rotation_keeps_the_rights_and_the_end_and_changes_the_secret(bench: Bench) -> None:
    before, key = bench.desk.create(KeyOrder("7b", models=("toy",), lifetime_s=60, front_end=True, answers_kept_s=90))
    bench.clock.advance(10)
    after, other = bench.desk.rotate("7b")

    assert other != key
    assert facts_of(after) == facts_of(
        KeyRecord(
            after.key_id, after.digest_hex, "user", "default", "default", "private", 1010, 1060, "7b", None,
            ("toy",), True, answers_kept_s=90,
        )
    )  # fmt: skip
    assert bench.told[-1] == (after,)
    assert before.key_id != after.key_id
    assert (after.line, bench.desk.rotate("7b")[0].line) == (before.key_id, before.key_id)
    assert [stored.record.line for stored in bench.desk.all()] == ["", before.key_id, before.key_id]


def test_a_second_factor_is_told_at_once_survives_a_rotation_and_is_stored_nowhere(
    bench: Bench, tmp_path: Path
) -> None:
    bench.desk.create(KeyOrder("7b"))
    record, address = bench.desk.factor_on("7b")
    secret = parse_qs(urlsplit(address).query)["secret"][0]

    assert record.totp is not None
    assert secret == secret_of(PEPPER, record.totp)
    assert [one.totp for one in bench.told[-1]] == [record.totp]
    assert bench.desk.rotate("7b")[0].totp == record.totp
    assert not any(secret.encode() in file.read_bytes() for file in tmp_path.iterdir())
    assert bench.desk.factor_on("7b")[0].totp != record.totp
    bench.desk.factor_off("7b")
    assert [one.totp for one in bench.records.active()] == [None]
    with pytest.raises(KeyRefusedError, match="no key is called 8b"):
        bench.desk.factor_on("8b")


def test_the_owners_key_may_have_a_second_factor_and_keeps_it(tmp_path: Path) -> None:
    paths, clock = StatePaths.at(tmp_path).ensure(), ManualClock()
    with closing(Registry.open(paths.registry_db, clock)) as registry:
        records = KeyRecords(registry, clock)
        owner = OwnerKey(paths, records, PEPPER, clock)
        owner.ensure()
        record, _ = KeyDesk(records, PEPPER, clock, lambda: None).factor_on("owner")

        assert record.totp is not None
        assert owner.rotate().totp == record.totp


def test_limits_are_told_at_once_survive_a_rotation_and_can_be_taken_away(bench: Bench) -> None:
    bench.desk.create(KeyOrder("7b", limits=Limits(concurrency=2)))
    limits = Limits(requests_per_minute=5, hours=("mon-fri 08:00-16:00",))

    bench.desk.limit("7b", limits)
    assert [record.limits for record in bench.told[-1]] == [limits]
    assert bench.desk.rotate("7b")[0].limits == limits
    bench.desk.limit("7b", NO_LIMITS)
    assert bench.records.active() == bench.told[-1]
    assert bench.told[-1][0].limits == NO_LIMITS
    with pytest.raises(KeyRefusedError, match="the owner's key has no limits"):
        bench.desk.limit("owner", limits)


def test_a_revoked_key_is_gone_for_gateways_and_its_name_is_free(bench: Bench) -> None:
    bench.desk.create(KeyOrder("7b"))
    bench.desk.revoke("7b")
    assert not bench.told[-1]

    again, _ = bench.desk.create(KeyOrder("7b"))

    assert bench.told[-1] == (again,)
    assert [stored.revoked_s for stored in bench.desk.all()].count(None) == 1


NARROW: tuple[Scope, ...] = ("metrics.read",)


@pytest.mark.parametrize(
    ("order", "code", "said"),
    [
        (KeyOrder("7b"), "name_taken", "potluck keys rotate 7b"),
        (KeyOrder("owner"), "invalid_request", "owner's key only"),
        (KeyOrder("x", tenant="owner"), "invalid_request", "owner's key only"),
        (KeyOrder("x", scopes=NARROW), "invalid_request", "user has no scope metrics.read"),
        (KeyOrder("x", role="admin", front_end=True), "invalid_request", "the role user, not admin"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(
    bench: Bench, order: KeyOrder, code: str, said: str
) -> None:
    bench.desk.create(KeyOrder("7b"))

    with pytest.raises(KeyRefusedError, match=said) as caught:
        bench.desk.create(order)

    assert caught.value.code == code
    assert [stored.record.name for stored in bench.desk.all()] == ["7b"]


def test_what_is_not_there_or_is_the_owners_or_over_is_not_touched(bench: Bench) -> None:
    bench.desk.create(KeyOrder("old", lifetime_s=5))
    bench.clock.advance(5)

    for name, status in (("nix", 404), ("owner", 409), ("old", 409)):
        with pytest.raises(KeyRefusedError) as caught:
            bench.desk.rotate(name)
        assert caught.value.status == status
    with pytest.raises(KeyRefusedError):
        bench.desk.revoke("owner")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "two words"},
        {"name": ""},
        {"name": "a", "role": "king"},
        {"name": "a", "models": []},
        {"name": "a", "models": ["[a-z]"]},
        {"name": "a", "scopes": ["everything"]},
        {"name": "a", "lifetime_s": 0},
        {"name": "a", "digest_hex": "00"},
        {"name": "a\n"},
        {"name": "a", "limits": {"concurrency": 0}},
        {"name": "a", "limits": {"hours": ["someday"]}},
    ],
)
def test_a_body_that_is_no_order_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KeyBody.model_validate(body)


def test_a_body_becomes_the_order_it_says() -> None:
    body = {
        "name": "anna@home",
        "scopes": ["inference"],
        "models": ["qwen3-*"],
        "front_end": True,
        "answers_kept_s": 60,
    }

    order = KeyBody.model_validate_json('{"name": "anna@home", "scopes": ["inference"], "models": ["qwen3-*"]}').order()

    assert order == KeyOrder("anna@home", scopes=("inference",), models=("qwen3-*",))
    assert KeyBody.model_validate(body).order().front_end
