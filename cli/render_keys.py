"""API keys as text: a table of all, a sheet of one. A key itself is never among it."""

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from cli.output import Listing, View, document_of
from cli.table import duration, table
from cluster.admin_wire import KeyFacts
from cluster.limits import NAMES, Limits
from cluster.roles import SCOPES_OF


class KeyNotFoundError(Exception):
    """No key has this name. The command prints it and exits 4."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else "`potluck keys ls` shows which there are"
        super().__init__(f"no key is called {name}; {hint}")
        self.name = name


def find_key(keys: Sequence[KeyFacts], name: str) -> KeyFacts:
    """The key that has this name, or the last that had it. Raises KeyNotFoundError."""
    found = [key for key in keys if key.name == name]
    if not found:
        raise KeyNotFoundError(name, [key.name for key in keys])
    return next((key for key in found if key.revoked_s is None), found[-1])


def keys_listing(keys: Sequence[KeyFacts], now_s: float) -> Listing:
    names = [key.name for key in keys]
    return Listing("KeyList", document_of("keys", keys), names, partial(_keys_table, keys, now_s))


def _keys_table(keys: Sequence[KeyFacts], now_s: float, view: View) -> str:
    headers = ("NAME", "ID", "ROLE", "GROUP", "MODELS", "STATE", "AGE")
    return table((*headers, *(("TENANT", "DATA CLASS", "MAY") if view.wide else ())), [
        (
            key.name,
            key.key_id,
            f"{key.role}, front end" if key.front_end else key.role,
            key.group,
            "all" if key.models is None else ",".join(key.models),
            state_of(key, now_s),
            duration(max(0.0, now_s - key.created_s)),
            *((key.tenant, key.data_class, ",".join(_scopes(key))) if view.wide else ()),
        )
        for key in keys
    ], view.columns, ("AGE", "GROUP", "ROLE"), ("MODELS", "MAY"))  # fmt: skip


def key_sheet(key: KeyFacts, now_s: float) -> str:
    rows = (
        ("name", key.name),
        ("id", f"{key.key_id} (the key begins with pl_{key.key_id}_)"),
        ("state", state_of(key, now_s)),
        ("role", key.role),
        ("may", ", ".join(_scopes(key))),
        ("models", "all" if key.models is None else ", ".join(key.models)),
        ("group", key.group),
        ("tenant", key.tenant),
        ("data class", key.data_class),
        ("front end", "yes: it says for which of its users it asks" if key.front_end else "no"),
        ("second", "a code of an authenticator app, at the dashboard's login" if key.totp else "no second factor"),
        ("limits", _limits_text(key.limits)),
        ("answers", _kept_text(key.answers_kept_s)),
        ("personal data", key.pii or "as cluster.yaml says"),
        ("made", _moment(key.created_s)),
        ("expires", "never" if key.expires_s is None else _moment(key.expires_s)),
    )
    return "\n".join(f"{name:12}{value}" for name, value in rows)


def _scopes(key: KeyFacts) -> Sequence[str]:
    return sorted(SCOPES_OF[key.role]) if key.scopes is None else key.scopes


def state_of(key: KeyFacts, now_s: float) -> str:
    if key.revoked_s is not None:
        return "revoked"
    if key.expires_s is None:
        return "valid"
    left_s = key.expires_s - now_s
    return f"valid for {duration(left_s)}" if left_s > 0 else "expired"


def _kept_text(kept_s: int | None) -> str:
    if kept_s is None:
        return "given again as its models say (`answers_kept`)"
    return f"given again for {duration(kept_s)}"


def _limits_text(limits: Limits) -> str:
    found = {name: value for name in NAMES if (value := getattr(limits, name)) is not None}
    texts = [f"{name.replace('_', ' ')} {_value_text(value)}" for name, value in found.items()]
    return "; ".join(texts) or "none of its own; `limits` in cluster.yaml says what its group has"


def _value_text(value: int | tuple[str, ...]) -> str:
    return f"{value:,}" if isinstance(value, int) else ", ".join(value)


def _moment(wall_s: int) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def qr_code(text: str) -> str:
    """Of blocks, two rows a line."""
    import io

    import segno

    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, compact=True, border=2)
    return drawn.getvalue()
