from dataclasses import asdict, fields, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.join_token import BadTokenError, JoinToken, parse_token, proof_of, proves, verifier_of
from nodes.join_wire import JoinBody

TOKEN = JoinToken("0123456789abcdef", bytes(range(32)), bytes(range(32, 64)), 1_800_000_000)
BODY = JoinBody(TOKEN.token_id, "aa" * 32, "mac", 8402, "", "-----BEGIN", "")


def test_a_token_survives_its_text() -> None:
    assert parse_token(f"  {TOKEN.text()}\n") == TOKEN
    assert len(TOKEN.text().split()) == 1


@given(st.integers(0, len(TOKEN.text()) - 1), st.sampled_from("AZaz09-_"))
def test_a_token_with_one_wrong_character_is_noticed(place: int, wrong: str) -> None:
    text = TOKEN.text()
    if text[place] == wrong:
        return
    try:
        parsed = parse_token(text[:place] + wrong + text[place + 1 :])
    except BadTokenError:
        return
    assert parsed == TOKEN  # base64 ignores the last bits of the last character


@given(st.text(max_size=300))
def test_any_text_is_a_token_or_said_to_be_none(text: str) -> None:
    with pytest.raises(BadTokenError):
        parse_token("pj1_" + text)


@pytest.mark.parametrize("text", ["", "pj1_", TOKEN.text()[:-4], TOKEN.text() + "AAAA", "K10" + TOKEN.text()])
def test_a_part_of_a_token_is_none(text: str) -> None:
    with pytest.raises(BadTokenError):
        parse_token(text)


def test_the_secret_is_proved_and_is_in_neither_the_proof_nor_the_verifier() -> None:
    proof = proof_of(TOKEN.secret, BODY)

    assert proves(verifier_of(TOKEN.secret), replace(BODY, proof=proof))
    assert TOKEN.secret.hex() not in (proof, verifier_of(TOKEN.secret).hex())


@pytest.mark.parametrize("field", [field.name for field in fields(JoinBody) if field.name != "proof"])
def test_a_proof_is_of_every_field(field: str) -> None:
    proved = replace(BODY, proof=proof_of(TOKEN.secret, BODY))
    value = getattr(proved, field)
    changed = msgspec.convert({**asdict(proved), field: value + 1 if isinstance(value, int) else value + "x"}, JoinBody)

    assert not proves(verifier_of(TOKEN.secret), changed)


@pytest.mark.parametrize("proof", ["", "zz", "00" * 31, "00" * 32, "00" * 33])
def test_what_is_no_proof_proves_nothing(proof: str) -> None:
    assert not proves(verifier_of(TOKEN.secret), replace(BODY, proof=proof))


def test_the_verifier_alone_cannot_prove() -> None:
    verifier = verifier_of(TOKEN.secret)

    assert not proves(verifier, replace(BODY, proof=proof_of(verifier, BODY)))
