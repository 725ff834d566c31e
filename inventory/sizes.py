"""Sizes in words for people."""


def format_bytes(size_bytes: int) -> str:
    """For reasons and reports: the largest binary unit that leaves at least 1."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
