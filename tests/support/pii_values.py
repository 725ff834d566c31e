"""Values of every kind that the labelled texts hold, right and wrong ones, made without the recognisers' arithmetic.

Check digits are found by trying them all against what the issuer's rule says, so that a mistake in the recognisers is
not repeated here. Secrets are drawn, and open nothing.
"""

import random
import string
from collections.abc import Callable

Draw = random.Random
FIRST = (
    "Ana",
    "Luis",
    "Marta",
    "Íñigo",
    "Carmen",
    "Pablo",
    "Nuria",
    "Jordi",
    "Olalla",
    "Peter",
    "Grace",
    "Amir",
    "Zoe",
)
LAST = (
    "García",
    "Núñez",
    "López",
    "Peña",
    "Ibáñez",
    "Soler",
    "Walker",
    "O'Neill",
    "Fischer",
    "Okafor",
    "Quispe",
    "Vidal",
)
HOSTS = (
    "example.com",
    "example.org",
    "correo.example.es",
    "mail.example.co.uk",
    "colegio-sur.example",
    "uni.example.edu",
)
_B62 = string.ascii_letters + string.digits
_FOLD = str.maketrans("áéíóúñüÁÉÍÓÚÑÍ'", "aeiounuAEIOUNI-")


def digits(draw: Draw, count: int) -> str:
    return "".join(draw.choice(string.digits) for _ in range(count))


def letters(draw: Draw, count: int, among: str = string.ascii_uppercase) -> str:
    return "".join(draw.choice(among) for _ in range(count))


def person(draw: Draw) -> str:
    return f"{draw.choice(FIRST)} {draw.choice(LAST)}"


def nif_letter(number: int) -> str:
    rest = number
    while rest >= 23:
        rest -= 23 * max(1, rest // 23)
    return "TRWAGMYFPDXBNJZSQVHLCKE"[rest]


def nif(draw: Draw) -> str:
    number = draw.randrange(1_000_000, 99_999_999)
    return f"{number:08d}{nif_letter(number)}"


def nif_apart(draw: Draw) -> str:
    whole = nif(draw)
    return draw.choice(
        (f"{whole[:8]}-{whole[8]}", f"{whole[:2]}.{whole[2:5]}.{whole[5:8]}-{whole[8]}", f"{whole[:8]} {whole[8]}")
    )


def bad_nif(draw: Draw) -> str:
    whole = nif(draw)
    return whole[:8] + draw.choice([one for one in "TRWAGMYFPDXBNJZSQVHLCKE" if one != whole[8]])


def nie(draw: Draw) -> str:
    first, number = draw.choice("XYZ"), digits(draw, 7)
    return f"{first}{number}{nif_letter(int('XYZ'.index(first) * 10_000_000) + int(number))}"


def cif(draw: Draw) -> str:
    """The rule: the sum of the even places, and the digit sums of the odd ones doubled; what makes tens of both."""
    first, number = draw.choice("ABGQ"), digits(draw, 7)
    total = sum(int(one) for one in number[1::2])
    for one in number[0::2]:
        total += sum(int(digit) for digit in str(2 * int(one)))
    control = next(value for value in range(10) if (total + value) % 10 == 0)
    return f"{first}{number}{'JABCDEFGHI'[control] if first == 'Q' else control}"


def luhn_ends(payload: str) -> str:
    """The payload with the one digit that makes it right."""

    def total(number: str) -> int:
        return sum(sum(map(int, str(int(one) * (2 if at % 2 else 1)))) for at, one in enumerate(reversed(number)))

    return payload + next(one for one in string.digits if total(payload + one) % 10 == 0)


def card(draw: Draw) -> str:
    begins = draw.choice(("4", "51", "55", "2230", "6011"))
    return luhn_ends(begins + digits(draw, 15 - len(begins)))


def card_apart(draw: Draw) -> str:
    whole, gap = card(draw), draw.choice(" -")
    return gap.join(whole[at : at + 4] for at in range(0, 16, 4))


def amex(draw: Draw) -> str:
    whole = luhn_ends(draw.choice(("34", "37")) + digits(draw, 12))
    return f"{whole[:4]} {whole[4:10]} {whole[10:]}"


def bad_card(draw: Draw) -> str:
    whole = card(draw)
    return whole[:15] + str((int(whole[15]) + draw.randrange(1, 10)) % 10)


def iban_of(country: str, body: str) -> str:
    for check in range(2, 99):
        moved = f"{body}{country}{check:02d}"
        if (
            int("".join(str(string.digits.find(one)) if one.isdigit() else str(ord(one) - 55) for one in moved)) % 97
            == 1
        ):
            return f"{country}{check:02d}{body}"
    raise AssertionError("one of them fits always")


def iban(draw: Draw) -> str:
    return iban_of("ES", digits(draw, 20))


def iban_apart(draw: Draw) -> str:
    return in_fours(iban(draw))


def iban_abroad(draw: Draw) -> str:
    made = draw.choice(
        (
            iban_of("DE", digits(draw, 18)),
            iban_of("FR", digits(draw, 23)),
            iban_of("PT", digits(draw, 21)),
            iban_of("GB", letters(draw, 4) + digits(draw, 14)),
            iban_of("NL", letters(draw, 4) + digits(draw, 10)),
            iban_of("IT", letters(draw, 1) + digits(draw, 22)),
            iban_of("NO", digits(draw, 11)),
        )
    )
    return draw.choice((made, in_fours(made)))


def bad_iban(draw: Draw) -> str:
    whole = iban(draw)
    return in_fours(f"ES{(int(whole[2:4]) + 1) % 98:02d}{whole[4:]}")


def in_fours(text: str) -> str:
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def mobile(draw: Draw) -> str:
    return draw.choice("67") + digits(draw, 8)


def mobile_apart(draw: Draw) -> str:
    one = mobile(draw)
    return draw.choice(
        (
            f"{one[:3]} {one[3:6]} {one[6:]}",
            f"{one[:3]} {one[3:5]} {one[5:7]} {one[7:]}",
            f"{one[:3]}-{one[3:6]}-{one[6:]}",
            f"{one[:3]}.{one[3:6]}.{one[6:]}",
            f"+34 {one[:3]} {one[3:6]} {one[6:]}",
            f"+34{one}",
            f"0034 {one}",
        )
    )


def landline_apart(draw: Draw) -> str:
    one = draw.choice(("91", "93", "95", "98")) + digits(draw, 7)
    return draw.choice(
        (
            f"{one[:2]} {one[2:5]} {one[5:7]} {one[7:]}",
            f"{one[:3]} {one[3:6]} {one[6:]}",
            f"{one[:3]} {one[3:5]} {one[5:7]} {one[7:]}",
        )
    )


def phone_abroad(draw: Draw) -> str:
    return draw.choice(
        (
            f"+44 20 7946 0{digits(draw, 3)}",
            f"+1 415 555 01{digits(draw, 2)}",
            f"+49 30 {digits(draw, 8)}",
            "+33 6 " + " ".join(digits(draw, 2) for _ in range(4)),
            f"+351 21{digits(draw, 7)}",
            f"+52 55 {digits(draw, 4)} {digits(draw, 4)}",
            f"+1-212-555-01{digits(draw, 2)}",
        )
    )


def phone_us(draw: Draw) -> str:
    return draw.choice(
        (f"(415) 555-01{digits(draw, 2)}", f"212-555-01{digits(draw, 2)}", f"(646) 555-0{digits(draw, 3)}")
    )


def email(draw: Draw) -> str:
    first, last = draw.choice(FIRST).translate(_FOLD).lower(), draw.choice(LAST).translate(_FOLD).lower()
    local = draw.choice(
        (f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{draw.randrange(10, 99)}", f"{first}+{last}")
    )
    return f"{local}@{draw.choice(HOSTS)}"


def ip4(draw: Draw) -> str:
    return (
        f"{draw.choice((10, 83, 172, 192, 203))}.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"
    )


def ip6(draw: Draw) -> str:
    def group() -> str:
        return f"{draw.randrange(4096, 65536):x}"

    return draw.choice(
        (
            f"2001:db8::{group()}:{group()}",
            f"2a02:{group()}:{group()}:{group()}:{group()}:{group()}:{group()}:{group()}",
            f"fe80::{group()}:{group()}",
        )
    )


def passport(draw: Draw) -> str:
    return letters(draw, 3) + digits(draw, 6)


def social_security(draw: Draw) -> str:
    province, number = draw.randrange(1, 53), draw.randrange(10_000_000, 99_999_999)
    return f"{province:02d}{number}{int(f'{province:02d}{number}') % 97:02d}"


def social_security_apart(draw: Draw) -> str:
    whole, gap = social_security(draw), draw.choice(" /")
    return f"{whole[:2]}{gap}{whole[2:10]}{gap}{whole[10:]}"


def bad_social_security(draw: Draw) -> str:
    whole = social_security(draw)
    return f"{whole[:10]}{(int(whole[10:]) + 1) % 97:02d}"


def record_number(draw: Draw) -> str:
    return draw.choice(
        (digits(draw, 7), f"{digits(draw, 6)}/{digits(draw, 2)}", f"HC-{digits(draw, 6)}", digits(draw, 8))
    )


def mrn(draw: Draw) -> str:
    return draw.choice((digits(draw, 8), f"{letters(draw, 1)}{digits(draw, 7)}", digits(draw, 7)))


def cip(draw: Draw) -> str:
    birthday = f"{draw.randrange(40, 99)}{draw.randrange(1, 13):02d}{draw.randrange(1, 29):02d}"
    return f"{letters(draw, 4, 'BCDGLMPRSTV')} {draw.choice('01')} {birthday} {digits(draw, 3)}"


def sns(draw: Draw) -> str:
    return f"BBBBBBBB{letters(draw, 2)}{digits(draw, 6)}"


def password(draw: Draw) -> str:
    return draw.choice(
        (
            f"{draw.choice(('Verano', 'Gato', 'Blue', 'Tiger'))}{draw.choice('!#%&')}{digits(draw, 4)}",
            letters(draw, 5, string.ascii_lowercase) + digits(draw, 3) + draw.choice("!?$") + letters(draw, 2),
            f"{letters(draw, 4, _B62)}-{digits(draw, 4)}-{letters(draw, 4, _B62)}",
        )
    )


def token(draw: Draw) -> str:
    """Of services, split so that no file here holds what looks like one."""
    return draw.choice(
        (
            "gh" + "p_" + letters(draw, 36, _B62),
            "AK" + "IA" + letters(draw, 16, string.ascii_uppercase + "234567"),
            "sk" + "-proj-" + letters(draw, 40, _B62),
            "gl" + "pat-" + letters(draw, 20, _B62),
            "h" + "f_" + letters(draw, 34, _B62),
            "pl" + "_" + letters(draw, 10, "0123456789abcdef") + "_" + letters(draw, 43, _B62),
            "xo" + "xb-" + digits(draw, 11) + "-" + letters(draw, 24, _B62),
        )
    )


def jwt(draw: Draw) -> str:
    return f"eyJ{letters(draw, 33, _B62)}.eyJ{letters(draw, 60, _B62)}.{letters(draw, 43, _B62)}"


def private_key(draw: Draw) -> str:
    name = draw.choice(("", "RSA ", "EC ", "OPENSSH "))
    lines = "\n".join(letters(draw, 64, _B62) for _ in range(draw.randrange(3, 9)))
    return f"-----BEGIN {name}PRIVATE KEY-----\n{lines}\n-----END {name}PRIVATE KEY-----"


Maker = Callable[[Draw], str]

KINDS: dict[str, tuple[str, Maker]] = {
    "nif": ("nif", nif),
    "nif_apart": ("nif", nif_apart),
    "nie": ("nie", nie),
    "cif": ("cif", cif),
    "iban": ("iban", iban),
    "iban_apart": ("iban", iban_apart),
    "iban_abroad": ("iban", iban_abroad),
    "card": ("card", card),
    "card_apart": ("card", card_apart),
    "amex": ("card", amex),
    "mobile": ("phone", mobile),
    "mobile_apart": ("phone", mobile_apart),
    "landline_apart": ("phone", landline_apart),
    "phone_abroad": ("phone", phone_abroad),
    "phone_us": ("phone", phone_us),
    "email": ("email", email),
    "ip4": ("ip", ip4),
    "ip6": ("ip", ip6),
    "passport": ("passport", passport),
    "social": ("social_security", social_security),
    "social_apart": ("social_security", social_security_apart),
    "record": ("medical_record", record_number),
    "mrn": ("medical_record", mrn),
    "cip": ("medical_record", cip),
    "sns": ("medical_record", sns),
    "password": ("secret", password),
    "token": ("secret", token),
    "jwt": ("secret", jwt),
    "key": ("secret", private_key),
}
"""What a template may name in braces: the kind it is labelled with, and how one is made."""

OTHERS: dict[str, Maker] = {
    "person": person,
    "bad_nif": bad_nif,
    "bad_card": bad_card,
    "bad_iban": bad_iban,
    "bad_social": bad_social_security,
    "order": lambda draw: digits(draw, draw.choice((6, 8, 9, 10, 12))),
    "nine": lambda draw: draw.choice("6789") + digits(draw, 8),
    "date": lambda draw: f"{draw.randrange(1, 29):02d}/{draw.randrange(1, 13):02d}/{draw.randrange(1990, 2026)}",
    "iso": lambda draw: f"{draw.randrange(2001, 2026)}-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}",
    "clock": lambda draw: f"{draw.randrange(24):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}",
    "version": lambda draw: ".".join(str(draw.randrange(30)) for _ in range(draw.choice((3, 4)))),
    "isbn": lambda draw: f"978-84-{digits(draw, 3)}-{digits(draw, 4)}-{digits(draw, 1)}",
    "euros": lambda draw: f"{draw.randrange(1, 99)}.{digits(draw, 3)},{digits(draw, 2)} €",
    "dollars": lambda draw: f"${draw.randrange(1, 99)},{digits(draw, 3)}.{digits(draw, 2)}",
    "sha": lambda draw: letters(draw, draw.choice((7, 40, 64)), "0123456789abcdef"),
    "uuid": lambda draw: "-".join(letters(draw, count, "0123456789abcdef") for count in (8, 4, 4, 4, 12)),
    "point": lambda draw: f"{draw.randrange(36, 43)}.{digits(draw, 6)}, -{draw.randrange(1, 8)}.{digits(draw, 6)}",
    "epoch": lambda draw: f"17{digits(draw, 8)}",
    "millis": lambda draw: f"17{digits(draw, 11)}",
    "ean": lambda draw: f"84{digits(draw, 11)}",
    "small": lambda draw: str(draw.randrange(2, 400)),
}
"""What is no personal data, or is it no more: one digit is wrong."""
