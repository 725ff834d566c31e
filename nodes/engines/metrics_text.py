"""Read Prometheus exposition text: sample names to values, summed over labels."""


def read_samples(text: str) -> dict[str, float]:
    """Lines that are no samples are skipped: an engine's metrics must never be the reason why a node fails."""
    samples: dict[str, float] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.partition("{")
        if rest:
            rest = rest.rpartition("}")[2]
        else:
            name, _, rest = line.partition(" ")
        words = rest.split()
        try:
            value = float(words[0])
        except (ValueError, IndexError):
            continue
        if value == value:  # NaN says nothing
            samples[name.strip()] = samples.get(name.strip(), 0.0) + value
    return samples


def whole(samples: dict[str, float], name: str) -> int | None:
    """A counter or a count, or None where the engine does not export it."""
    value = samples.get(name)
    return int(value) if value is not None and abs(value) != float("inf") else None
