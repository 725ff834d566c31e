"""What an operator asks for when a key is made, and whether it makes sense."""

from dataclasses import dataclass

from cluster.limits import NO_LIMITS, Limits
from cluster.pii.policy import Policy
from cluster.privacy import USUAL_RULES, PrivacyRules, UnknownClassError
from cluster.roles import SCOPES_OF, Role, Scope

OWNER = "owner"  # the name, the tenant and the group of the owner's key, and of no other


class KeyRefusedError(Exception):
    """A key cannot be made or changed as asked. The admin API answers with `status` and `code`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """What an operator asks for. `lifetime_s` is None for a key that does not expire."""

    name: str
    role: Role = "user"
    group: str = "default"
    tenant: str = "default"
    data_class: str = "private"
    scopes: tuple[Scope, ...] | None = None
    models: tuple[str, ...] | None = None
    lifetime_s: int | None = None
    front_end: bool = False
    limits: Limits = NO_LIMITS
    answers_kept_s: int | None = None
    pii: Policy | None = None


def check(order: KeyOrder, rules: PrivacyRules = USUAL_RULES) -> None:
    """What no single field shows: does the role have these scopes, is a name the owner's, does cluster.yaml know the
    privacy class. Raises KeyRefusedError."""
    if OWNER in (order.name, order.tenant):
        raise KeyRefusedError(400, "invalid_request", f"`{OWNER}` is the name and the tenant of the owner's key only")
    beyond = sorted(frozenset(order.scopes or ()) - SCOPES_OF[order.role])
    if beyond:
        has = ", ".join(sorted(SCOPES_OF[order.role]))
        message = f"the role {order.role} has no scope {', '.join(beyond)}; it has {has}"
        raise KeyRefusedError(400, "invalid_request", message)
    if order.front_end and order.role != "user":
        message = f"a front end asks for its users, so its key has the role user, not {order.role}"
        raise KeyRefusedError(400, "invalid_request", message)
    try:
        rules.of((order.data_class,))
    except UnknownClassError as error:
        raise KeyRefusedError(400, "unknown_data_class", str(error)) from error
