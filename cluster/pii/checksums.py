"""The check digits and letters that issuers put into their numbers. Pure."""

NIF_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
CIF_LETTERS = "JABCDEFGHI"
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""Characters of an IBAN by country, as SWIFT's registry has them."""


def luhn(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if at % 2 else int(digit)
    return total % 10 == 0


def iban(text: str) -> bool:
    """Of capitals and digits only: its country's length, and the remainder of ISO 7064 that is 1."""
    if IBAN_LENGTHS.get(text[:2]) != len(text) or not text.isascii() or not text.isalnum():
        return False
    return int("".join(str(int(one, 36)) for one in text[4:] + text[:4])) % 97 == 1


def nif(digits: str, letter: str) -> bool:
    """Of a Spanish identity card: the letter follows from the number."""
    return NIF_LETTERS[int(digits) % 23] == letter


def nie(first: str, digits: str, letter: str) -> bool:
    """Of a foreigner in Spain: X, Y and Z count as 0, 1 and 2."""
    return nif(f"{'XYZ'.index(first)}{digits}", letter)


def cif(first: str, digits: str, control: str) -> bool:
    """Of a Spanish company: by its first letter, the control is a digit, a letter, or either."""
    even = sum(int(digit) for digit in digits[1::2])
    odd = sum(_DOUBLED[int(digit)] for digit in digits[0::2])
    value = -(even + odd) % 10
    if first in "PQRSNW":
        return control == CIF_LETTERS[value]
    if first in "ABEH":
        return control == str(value)
    return control in (str(value), CIF_LETTERS[value])


def social_security(digits: str) -> bool:
    """Twelve of them: a Spanish province, a number, and the remainder by 97."""
    province, number, control = int(digits[:2]), int(digits[2:10]), int(digits[10:])
    whole = province * 10_000_000 + number if number < 10_000_000 else int(digits[:10])
    return (1 <= province <= 53 or province == 66) and whole % 97 == control


def nhs(digits: str) -> bool:
    """Ten of them: the health service of England."""
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False))
    return (11 - total % 11) % 11 == int(digits[9])
