"""Which route of /api/v1 is which action, and what of its body and answer may go on record: only what is named here."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from cluster.audit_records import Action, Detail, Outcome, Personal
from cluster.limits import NAMES

API = "/api/v1"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Rule:
    """`target` is a parameter of the path or a field of the body; `told` are fields of the body, `hashed` those of
    which only the hash goes on record, `answered` fields of the answer, with dots between levels. `sealed` may name a
    person: the first of them, a parameter or a field, is whose key they are sealed with."""

    action: Action
    target: str = ""
    told: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()


# None: it changes nothing that an operator decides. A route that is missing is put on record as "admin.other".
RULES: Mapping[tuple[str, str], Rule | None] = {
    ("POST", f"{API}/config"): Rule("config.apply", hashed=("text",), answered=("revision", "changed")),
    ("POST", f"{API}/config/plan"): None,
    ("POST", f"{API}/keys/owner/rotate"): Rule("key.rotate_owner", answered=("key_id",)),
    ("POST", f"{API}/keys"): Rule(
        "key.create",
        told=(
            "role",
            "tenant",
            "data_class",
            "scopes",
            "models",
            "lifetime_s",
            "front_end",
            "limits",
            "answers_kept_s",
            "pii",
        ),
        answered=("facts.key_id",),
        sealed=("name", "group"),
    ),
    ("POST", f"{API}/keys/{{name}}/rotate"): Rule("key.rotate", answered=("facts.key_id",), sealed=("name",)),
    ("PUT", f"{API}/keys/{{name}}/limits"): Rule("key.limit", told=NAMES, answered=("key_id",), sealed=("name",)),
    ("PUT", f"{API}/keys/{{name}}/totp"): Rule("key.totp_on", answered=("facts.key_id",), sealed=("name",)),
    ("DELETE", f"{API}/keys/{{name}}/totp"): Rule("key.totp_off", answered=("key_id",), sealed=("name",)),
    ("DELETE", f"{API}/keys/{{name}}"): Rule("key.revoke", answered=("key_id",), sealed=("name",)),
    ("POST", f"{API}/tokens"): Rule("token.create", target="node", told=("ttl_s",), answered=("expires_s",)),
    ("POST", f"{API}/nodes/{{name}}/cordon"): Rule("node.cordon", target="name"),
    ("POST", f"{API}/nodes/{{name}}/uncordon"): Rule("node.uncordon", target="name"),
    ("POST", f"{API}/nodes/{{name}}/drain"): Rule("node.drain", target="name"),
    ("PUT", f"{API}/nodes/{{name}}/labels"): Rule("node.label", target="name", told=("changes",)),
    ("POST", f"{API}/models/{{name}}/load"): Rule("model.load", target="name"),
    ("POST", f"{API}/models/{{name}}/unload"): Rule("model.unload", target="name"),
    ("DELETE", f"{API}/nodes/{{name}}"): Rule("node.remove", target="name"),
    ("POST", f"{API}/audit/erase"): Rule("audit.erase", answered=("pseudonym",)),  # whom, is what must not stay
    # Of whom, only as a hash with a key that is destroyed with the erasure's entry.
    ("POST", f"{API}/privacy/holds"): None,
    ("POST", f"{API}/privacy/export"): Rule("privacy.export", told=("erasure_id", "mark")),
    ("POST", f"{API}/privacy/erase"): Rule("privacy.erase", told=("erasure_id", "mark"), answered=("count",)),
    ("POST", f"{API}/audit/refusals"): None,  # they are records themselves
    ("POST", f"{API}/audit/sign-ins"): None,
    ("POST", f"{API}/audit/sent"): None,
    ("POST", f"{API}/audit/documents"): None,
    ("POST", f"{API}/pii/reveal"): Rule("pii.reveal", target="token", told=("tenant",)),
    ("POST", f"{API}/doubts"): None,
    ("POST", f"{API}/demand"): None,
    ("POST", f"{API}/fit"): None,
    ("POST", f"{API}/fit/frontier"): None,
    ("POST", f"{API}/fit/models"): None,
}


def rule_of(method: str, path: str) -> Rule | None:
    """The rule of a route as it was declared; None where there is nothing to put on record."""
    if method in READING:
        return None
    return RULES.get((method, path), Rule("admin.other"))


def target_of(rule: Rule, path: str, parameters: Mapping[str, object], body: object) -> str:
    if rule.action == "admin.other":
        return path
    found = parameters.get(rule.target, _field(body, rule.target)) if rule.target else None
    return found if isinstance(found, str) else ""


def personal_of(rule: Rule, parameters: Mapping[str, object], body: object) -> Personal | None:
    values = [(name, parameters.get(name, _field(body, name))) for name in rule.sealed]
    fields = tuple((name, value) for name, value in values if isinstance(value, str))
    return Personal(f"key:{fields[0][1]}", fields) if fields else None


def asked(rule: Rule, body: object) -> tuple[Detail, ...]:
    hashed = ((name, _field(body, name)) for name in rule.hashed)
    sums = [(f"{name}_sha256", hashlib.sha256(text.encode()).hexdigest()) for name, text in hashed if type(text) is str]
    return (*_details(body, rule.told), *sums)


def answered(rule: Rule, status: int, body: object) -> tuple[Detail, ...]:
    code = _field(body, "error.code")
    refusal = (("code", code),) if isinstance(code, str) else ()
    return (("status", status), *refusal, *_details(body, rule.answered))


def outcome_of(status: int) -> Outcome:
    if status < 400:
        return "done"
    return "refused" if status < 500 else "failed"


def parsed(content: bytes) -> object:
    """Whatever it is. None where it is no JSON: then nothing of it is told."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _details(body: object, names: Sequence[str]) -> tuple[Detail, ...]:
    values = ((name.rpartition(".")[2], _field(body, name)) for name in names)
    return tuple((name, _plain(value)) for name, value in values if value is not None)


def _plain(value: object) -> str | int | bool:
    return value if isinstance(value, str | int) else msgspec.json.encode(value, order="sorted").decode()


def _field(body: object, name: str) -> object:
    for part in name.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body
