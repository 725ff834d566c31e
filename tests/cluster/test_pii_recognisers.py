"""Each recogniser: a right number is found where it stands, a wrong check digit is none, and words around it count."""

import pytest

from cluster.pii import checksums
from cluster.pii.scan import scan
from cluster.pii.spans import Span

KEY = "pl_0123456789_" + "Kq" * 21 + "x"
GITHUB, AWS = "gh" + "p_" + "a1B2" * 9, "AK" + "IA" + "ABCDEFGHIJ234567"
JWT = f"eyJ{'a' * 30}.eyJ{'b' * 30}.{'c' * 43}"


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in scan(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("mi DNI es 12345678Z, gracias", "nif", "12345678Z"),
        ("NIF 12.345.678-Z", "nif", "12.345.678-Z"),
        ("NIF: 12345678-z.", "nif", "12345678-z"),
        ("DNI 1234567L", "nif", "1234567L"),
        ("con NIE X1234567L", "nie", "X1234567L"),
        ("Y-1234567-X consta", "nie", "Y-1234567-X"),
        ("CIF A58818501", "cif", "A58818501"),
        ("la sociedad B-65410011 factura", "cif", "B-65410011"),
        ("IBAN ES91 2100 0418 4502 0005 1332 y gracias", "iban", "ES91 2100 0418 4502 0005 1332"),
        ("es9121000418450200051332", "iban", "es9121000418450200051332"),
        ("pay to GB82 WEST 1234 5698 7654 32 today", "iban", "GB82 WEST 1234 5698 7654 32"),
        ("NO9386011117947.", "iban", "NO9386011117947"),
        ("card 4111 1111 1111 1111 12/27", "card", "4111 1111 1111 1111"),
        ("378282246310005", "card", "378282246310005"),
        ("5555-5555-5555-4444", "card", "5555-5555-5555-4444"),
        ("tel. 612345678", "phone", "612345678"),
        ("llama al +34 612 34 56 78", "phone", "+34 612 34 56 78"),
        ("fijo 91 234 56 78", "phone", "91 234 56 78"),
        ("call +44 20 7946 0958 now", "phone", "+44 20 7946 0958"),
        ("(415) 555-2671", "phone", "(415) 555-2671"),
        ("phone: 020 7946 0958", "phone", "020 7946 0958"),
        ("escribe a ana.perez+x@correo.example.es.", "email", "ana.perez+x@correo.example.es"),
        ("user=iñaki@example.com;", "email", "iñaki@example.com"),
        ("desde 83.44.12.7 hoy", "ip", "83.44.12.7"),
        ("peer 2001:db8::ff00:42:8329 up", "ip", "2001:db8::ff00:42:8329"),
        ("pasaporte nº PAA123456", "passport", "PAA123456"),
        ("Passport number: 123456789", "passport", "123456789"),
        ("Nº SS 28/12345678/40", "social_security", "28/12345678/40"),
        ("NUSS 281234567840", "social_security", "281234567840"),
        ("SSN 123-45-6789", "social_security", "123-45-6789"),
        ("NHC: 1234567", "medical_record", "1234567"),
        ("número de historia clínica HC-20931", "medical_record", "HC-20931"),
        ("MRN 00123456", "medical_record", "00123456"),
        ("CIP GLMZ 0 771212 944", "medical_record", "GLMZ 0 771212 944"),
        ("BBBBBBBBQR648597", "medical_record", "BBBBBBBBQR648597"),
        ("NHS number 943 476 5919", "medical_record", "943 476 5919"),
        (f"key {KEY} end", "secret", KEY),
        (f"token {GITHUB}", "secret", GITHUB),
        (f"id {AWS}", "secret", AWS),
        (f"jwt {JWT} end", "secret", JWT),
        ("la contraseña es gato!2024", "secret", "gato!2024"),
        ('password = "S3cret.word"', "secret", "S3cret.word"),
        ("postgres://app:s3cr3tpw@db.internal/x", "secret", "s3cr3tpw"),
        ("Authorization: Bearer abc123def456ghi789", "secret", "abc123def456ghi789"),
    ],
)
def test_a_value_is_found_where_it_stands(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


def test_a_private_key_is_found_whole_and_one_that_never_ends_too() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB0123\nabcd\n-----END RSA PRIVATE KEY-----"

    assert found(f"a\n{key}\nb") == [("secret", key)]
    assert found(key[:50]) == [("secret", key[:50])]


@pytest.mark.parametrize(
    "text",
    [
        "DNI 12345678A", "NIE X1234567A", "CIF A58818502", "IBAN ES92 2100 0418 4502 0005 1332", "IBAN ES91 2100 0418",
        "XX91 2100 0418 4502 0005 1332", "tarjeta 4111 1111 1111 1112", "tarjeta 9111111111111119", "281234567841",
        "SSN 000-45-6789", "ip 300.1.2.3", "127.0.0.1 and ::1", "10:30:45", "ana@", "@ana", "a@b", "logo@2x.png",
        "contraseña: ********", "password is required", 'password = os.environ["X"]', "token: <yours>",
        "version 10.22.8.22", "v1.2.3.4", "pedido 612345678", "ISBN 978-84-376-0494-7", "SKU 4111111111111111",
        "git@github.com:potluck/potluck.git", "https://example.com/p/612345678", "0.4111111111111111",
    ],
)  # fmt: skip
def test_what_is_none_is_left_alone(text: str) -> None:
    assert found(text) == []


def only(text: str) -> Span:
    (span,) = scan(text, 0.0)
    return span


def test_words_around_a_number_make_it_surer_or_less_sure_and_the_reason_says_which() -> None:
    alone, called, ordered = only("12345678Z"), only("DNI: 12345678Z"), only("pedido 12345678Z")

    assert ordered.confidence < alone.confidence < called.confidence
    assert called.reason == "its letter fits its number; near `dni`"
    assert ordered.reason == "its letter fits its number; near `pedido`"


def test_what_speaks_against_a_number_does_so_within_its_clause_only() -> None:
    assert only("Gracias por el pedido. 612345678").confidence > only("el pedido 612345678").confidence


def test_of_the_words_on_both_sides_the_nearer_counts() -> None:
    assert only("factura de la titular con DNI 12345678Z").confidence == only("DNI 12345678Z").confidence


def test_of_two_that_overlap_the_surer_one_stays() -> None:
    assert found("cuenta ES9121000418450200051332") == [("iban", "ES9121000418450200051332")]


@pytest.mark.parametrize(
    ("fits", "wrong"),
    [
        (checksums.luhn("4242424242424242"), checksums.luhn("4242424242424241")),
        (checksums.iban("DE89370400440532013000"), checksums.iban("DE89370400440532013001")),
        (checksums.nif("00000000", "T"), checksums.nif("00000000", "R")),
        (checksums.cif("P", "2807900", "B"), checksums.cif("P", "2807900", "2")),
        (checksums.social_security("281234567840"), checksums.social_security("991234567840")),
        (checksums.nhs("9434765919"), checksums.nhs("9434765918")),
    ],
)
def test_published_examples_fit_their_check_digits_and_others_do_not(fits: bool, wrong: bool) -> None:
    assert fits
    assert not wrong
