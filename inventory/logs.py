"""What a line of our logs may hold: fields by their names, values of bounded size. All rooms' events pass here.

A prompt, a key or a body has no field to be in. Control characters are the renderer's: JSON escapes them all.
"""

import traceback
from collections.abc import MutableMapping
from typing import Any

FIELDS = frozenset(
    {
        "action", "address", "addresses", "after", "after_s", "again_every_s", "age_s", "artifact", "attempts",
        "before", "cluster", "code", "config", "config_revision", "detail", "duty", "endpoint", "engine", "engines",
        "epoch", "error", "event", "exception", "exit_code", "expires_s", "failed", "failures", "file", "freed_bytes",
        "generation", "grace_s", "holder", "host", "how", "instead", "key_id", "kind", "known", "level", "library",
        "link", "lived_s", "method", "model", "name", "node", "nodes", "now", "order", "outcome", "path", "peer", "pid",
        "port", "ray", "ray_pid", "reason", "records", "request_id", "restart_in_s", "role", "sequence", "serial",
        "service_pid", "socket", "state", "status", "store", "takes_part", "timestamp", "to", "token_id", "tries",
        "wait_s", "why",
    }
)  # fmt: skip
LEFT_OUT = "left_out"  # names of the fields that were not in the list: a mistake, which a test of every call prevents
TEXT_LIMIT = 2000
ITEMS_LIMIT = 64


def only_known(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: leaves out what is not in the list and tells its names, and bounds the rest."""
    known = {name: _bounded(value) for name, value in event.items() if name in FIELDS}
    unknown = sorted(event.keys() - FIELDS)
    if unknown:
        known[LEFT_OUT] = [name[:64] for name in unknown[:ITEMS_LIMIT]]
    return known


def told(error: BaseException) -> str:
    """An unforeseen exception by its kind and place. Its message may quote what it was about: a body, a key."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {'/'.join(frames[-1].filename.split('/')[-2:])}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _bounded(value: Any) -> Any:
    """Numbers as they are; texts, and lists of texts, up to a limit; of anything else no more than what it is."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        text = value.replace("\x7f", "\\x7f")  # the one control character that JSON lets through
        return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}…"
    if isinstance(value, list | tuple | set | frozenset):
        return [_bounded(item) for item in list(value)[:ITEMS_LIMIT]]
    return f"<{type(value).__name__}>"
