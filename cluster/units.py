"""Sizes, token counts and durations as people write them in cluster.yaml: text in, numbers out."""

import re

TOKENS_PATTERN = r"^[0-9]+(\.[0-9]+)?k?$"
BYTES_PATTERN = r"^[0-9]+(\.[0-9]+)?\s?([KMGT]i?B|kB|B)$"
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"

_BYTE_UNITS = {
    "B": 1,
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", start=1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", start=1)},
    "kB": 1000,
}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([A-Za-z]*)")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def parse_bytes(value: object) -> int:
    """ "72GiB" -> 77309411328. A bare number is refused: nobody can tell what it counts. Raises ValueError."""
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a size; write a number and a unit, like 512MiB or 72GiB")
    number, unit = match.groups()
    if unit not in _BYTE_UNITS:
        hint = f"; did you mean {number}{unit.upper()}iB?" if unit.upper() in tuple("KMGT") else ""
        raise ValueError(
            f"{value!r} has no known unit (KiB, MiB, GiB, TiB; or kB, MB, GB, TB for powers of 1000){hint}"
        )
    return int(float(number) * _BYTE_UNITS[unit])


def parse_tokens(value: object) -> int:
    """ "32k" -> 32768, 2048 -> 2048. Raises ValueError."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.match(TOKENS_PATTERN, text.strip()):
        raise ValueError(f"{value!r} is not a number of tokens; write 8192 or 8k (k is 1024)")
    text = text.strip()
    tokens = int(float(text[:-1]) * 1024) if text.endswith("k") else int(float(text))
    if tokens < 1:
        raise ValueError(f"{value!r} is not a number of tokens; it must be at least 1")
    return tokens


def parse_duration_s(value: object) -> float:
    """ "90s" -> 90.0, "1h30m" -> 5400.0. A bare number is refused. Raises ValueError."""
    text = value.strip() if isinstance(value, str) else ""
    if not re.match(DURATION_PATTERN, text):
        raise ValueError(f"{value!r} is not a duration; write a number and a unit, like 500ms, 90s, 10m or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds <= 0:
        raise ValueError(f"{value!r} is not a duration; it must be longer than nothing")
    return seconds
