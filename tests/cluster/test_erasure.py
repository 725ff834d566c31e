"""Whom an erasure means, by hashes; and lines of logs that become spaces."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.erased_logs import LogErasure
from cluster.erasure import KEY_BYTES, NoPersonError, Person, Sought, sought
from cluster.erasure_list import ErasureList
from inventory.paths import StatePaths

KEY = bytes(range(KEY_BYTES))


def wanted(*identifiers: str, who: str = "", naming: bool = True) -> Sought:
    return sought("er_" + "0" * 24, KEY, Person(who, identifiers, (), naming))


@pytest.mark.parametrize(
    "text",
    [
        "María Pérez came.", "maria perez", "MARÍA  PÉREZ", "Pérez and Maria Perez", "maria\u0301 pe\u0301rez",
        '{"name": "Mar\\u00eda P\\u00e9rez"}', "first line\\nMaría Pérez", "maria-perez", "maria.perez@example.org",
    ],
)  # fmt: skip
def test_a_name_is_found_however_it_is_written(text: str) -> None:
    assert wanted("María Pérez").names(text)


@pytest.mark.parametrize("text", ["Maria and Perez", "anamaria perez", "maria perezoso", "", "mar ia", "pérez maría"])
def test_and_in_no_other_words(text: str) -> None:
    assert not wanted("María Pérez").names(text)


def test_numbers_are_the_same_with_and_without_dashes_and_spaces() -> None:
    assert all(wanted("12345678Z").names(text) for text in ("12345678-z", "12.345.678 Z", "NIF: 12345678Z."))
    assert not wanted("12345678Z").names("112345678Z")


def test_a_person_is_a_user_a_key_or_whom_an_issuer_names() -> None:
    maria = sought("er_" + "0" * 24, KEY, Person("maria"), ("k1",))

    assert maria.is_person("k9", "maria") and maria.is_person("k1", None) and maria.is_person("oidc:maria", None)
    assert not maria.is_person("k9", "ana") and not maria.is_person(None, None) and not maria.is_person("", "")
    assert maria.marks_line('{"key_id": "jwt:maria"}') and not maria.marks_line('{"key_id": "jwt:mariana"}')


@pytest.mark.parametrize("person", [Person(), Person(identifiers=("a b",)), Person("maria", naming=True)])
def test_nobody_in_particular_is_nobody(person: Person) -> None:
    with pytest.raises(NoPersonError):
        sought("er_" + "0" * 24, KEY, person)


@given(before=st.text(alphabet="ab .é1", max_size=20), after=st.text(alphabet="ab .é1", max_size=20))
def test_what_stands_around_it_does_not_hide_it(before: str, after: str) -> None:
    assert wanted("Zoë Canary").names(f"{before} ZOE-CANARY {after}")


def test_the_list_tells_nobody_whom_and_finds_her_again(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path).ensure()
    kept = ErasureList(paths)
    begun = kept.begin(Person("maria", ("zanzibar-canary",), ("file-1",), True), (), 1.0)
    (entry,) = kept.entries()
    again = kept.sought(entry)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    assert again == begun and entry.state == "begun"
    assert again is not None and again.names("Zanzibar Canary") and again.is_document("file-1")
    assert b"maria" not in written and b"canary" not in written.lower()

    other = ErasureList(StatePaths.at(tmp_path / "other").ensure())
    assert (other.take(kept.bundle()), other.take(kept.bundle())) == (1, 0)
    assert other.sought(other.entries()[0]) == begun
    (paths.secrets / "erasures" / entry.erasure_id).unlink()
    assert kept.sought(entry) is None


async def test_a_line_becomes_spaces_where_it_lies_while_its_service_writes_on(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "gateway.log"
    log.parent.mkdir()
    lines = ['{"event": "a", "name": "ana"}', '{"event": "b", "name": "Zanzibar-Canary é"}', '{"event": "c"}']
    log.write_text("\n".join(lines) + "\n")
    erasure = LogErasure((tmp_path / "logs",))
    her = wanted("zanzibar canary")
    with log.open("ab") as service:
        assert [one.count for one in await erasure.holds(her)] == [1]
        (piece,) = await erasure.export(her)
        await erasure.erase(her)
        service.write(b'{"event": "d"}\n')
    left = log.read_text().splitlines()

    assert piece.content.decode().strip() == lines[1]
    assert [left[0], left[2], left[3]] == [lines[0], lines[2], '{"event": "d"}']
    assert (left[1].strip(), len(left[1])) == ("", len(lines[1].encode()))
    assert await erasure.holds(her) == ()
