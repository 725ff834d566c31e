"""Limits at the gateway: every request takes its place in the accounts of its key, its user and its group, and settles
them when it ends."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from cluster.hours import Opening, parse_hours
from cluster.key_order import OWNER
from cluster.limits import NO_LIMITS, NO_RULES, GroupLimits, Limits
from cluster.snapshot import AccessSnapshot
from inventory.clock import Clock
from router.errors import ApiError
from router.limit_counts import NO_DAY, Account, Held, Moment, day_of
from router.limit_headers import limit_headers, limit_lines, span_text
from router.limit_verdict import Use, Wish
from router.request import Identity
from router.usage_reading import Consumer, Used

OUTPUT_TOKENS = 1024  # reserved for an answer that may be as long or longer; what it takes in truth is settled
MOST_RESOLVED = 4096
HOPELESS_RETRY_S = 60.0  # beyond it, a client that comes back by itself only waits for another refusal

AccountId = tuple[str, ...]
THIS_KEY = "this key"


class Standing(NamedTuple):
    """How an account stands with its limits."""

    kind: Literal["key", "group"]
    limits: Limits
    use: Use


class Permit:
    """One request's place in its accounts. Settled once, however often it is asked to."""

    __slots__ = ("_accounts", "_desk", "_settled", "_wish")

    def __init__(self, desk: "LimitDesk", accounts: tuple[Account, ...], wish: Wish) -> None:
        self._desk, self._accounts, self._wish = desk, accounts, wish
        self._settled = False

    @property
    def prompt_tokens(self) -> int:
        """As they were expected."""
        return self._wish.prompt_tokens

    def settle(self, tokens: int) -> None:
        """The request has ended, having taken `tokens` for prompt and answer."""
        if not self._settled:
            self._settled = True
            moment = self._desk.moment()
            for account in self._accounts:
                account.settle(self._wish, tokens, moment)

    def header_lines(self) -> bytes:
        return limit_lines(self._accounts, self._desk.moment())


class LimitDesk:
    """Follows what the head says of limits; what has been counted stays when they change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._zone: ZoneInfo | None = None
        self._today = NO_DAY
        self._rules = NO_RULES
        self._groups: Mapping[str, GroupLimits] = {}
        self._own: Mapping[str, Limits] = {}
        self._accounts: dict[AccountId, Account] = {}
        self._resolved: dict[tuple[str, str | None, str], tuple[Account, ...]] = {}
        self._before: dict[AccountId, tuple[int, int]] = {}
        self._before_day = 0

    def follow(self, access: AccessSnapshot) -> None:
        rules = access.limits
        self._rules, self._groups = rules, dict(rules.groups)
        self._zone, self._today = ZoneInfo(rules.timezone) if rules.timezone else None, NO_DAY
        self._own = {record.key_id: record.limits for record in access.keys}
        self._resolved.clear()

    def moment(self) -> Moment:
        wall_s = self._clock.wall_s()
        if not self._today.holds(wall_s):
            self._today = day_of(wall_s, self._zone)
        return Moment(self._clock.monotonic_s(), wall_s, self._today, self._zone)

    def midnight_s(self) -> float:
        """When today began, on the wall clock."""
        return self.moment().day.begins_s

    def restore(self, used: Mapping[Consumer, Used]) -> None:
        """What counts for today already, of before this gateway started. Called before the first request."""
        self._before_day = self.moment().day.number
        for (tenant, group, key_id, user), (requests, tokens) in used.items():
            for name in (("key", key_id), ("user", key_id, user or ""), ("group", tenant, group)):
                known = self._before.get(name, (0, 0))
                self._before[name] = (known[0] + requests, known[1] + tokens)

    def admit(
        self, identity: Identity, prompt_tokens: int, output_limit: int | None, answers: int = 1
    ) -> Permit | None:
        """None for whom no limit is set. Raises ApiError 429, which says which limit and when."""
        who = (identity.key_id, identity.user, identity.group)
        accounts = self._resolved.get(who)
        if accounts is None:
            accounts = self._resolve(identity)
            self._resolved[who] = accounts
        if not accounts:
            return None
        output_tokens = answers * min(OUTPUT_TOKENS if output_limit is None else output_limit, OUTPUT_TOKENS)
        wish = Wish(prompt_tokens, prompt_tokens + output_tokens)
        moment = self.moment()
        held = [one for account in accounts for one in account.against(wish, moment)]
        if held:
            raise refused(held, limit_headers(accounts, moment))
        for account in accounts:
            account.take(wish, moment)
        return Permit(self, accounts, wish)

    @property
    def groups(self) -> Mapping[str, GroupLimits]:
        return self._groups

    def standing(self, identity: Identity) -> tuple[Standing, ...]:
        """Of its key and its group, as far as they have limits. Users of a front end are not told one by one."""
        moment, accounts = self.moment(), self._resolve(identity)
        kinds: Mapping[str, Literal["key", "group"]] = {THIS_KEY: "key", _group_words(identity.group): "group"}
        return tuple(
            Standing(kinds[account.whose], account.limits, account.use(moment))
            for account in accounts
            if account.whose in kinds
        )

    def priority_of(self, identity: Identity) -> int:
        """Higher goes first, where requests wait."""
        group = self._groups.get(identity.group)
        return group.priority if group is not None else 0

    def _resolve(self, identity: Identity) -> tuple[Account, ...]:
        """The accounts that have limits, from the narrowest to the widest."""
        if len(self._resolved) >= MOST_RESOLVED:
            self._forget_idle()
        if identity.tenant == OWNER:
            return ()
        group = self._groups.get(identity.group, GroupLimits())
        own, each = self._own.get(identity.key_id, NO_LIMITS), group.each.or_else(self._rules.each)
        wanted: list[tuple[AccountId, str, Limits]] = [
            (("group", identity.tenant, identity.group), _group_words(identity.group), group.total)
        ]
        if identity.front_end:  # its own limits are for all its users together
            wanted.insert(0, (("user", identity.key_id, identity.user or ""), "this user", each))
            wanted.insert(1, (("key", identity.key_id), THIS_KEY, own))
        else:
            wanted.insert(0, (("key", identity.key_id), THIS_KEY, own.or_else(each)))
        return tuple(self._account(*one) for one in wanted if one[2] != NO_LIMITS)

    def _account(self, name: AccountId, whose: str, limits: Limits) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(whose)
            account.restore(self._before_day, *self._before.get(name, (0, 0)))
        account.limits = limits
        account.openings = _openings(limits)
        return account

    def _forget_idle(self) -> None:
        moment = self.moment()
        self._resolved.clear()
        self._accounts = {name: account for name, account in self._accounts.items() if not account.idle(moment)}


def refused(held: list[Held], headers: Iterable[tuple[str, str]]) -> ApiError:
    """The error for the limit that keeps a request waiting longest."""
    worst = max(held, key=lambda one: float("inf") if one.wait_s is None else one.wait_s)
    found = worst.excess
    what = found.name.replace("_", " ")
    what = what.replace("requests", "request").replace("tokens", "token") if found.limit == 1 else what
    if found.name == "hours":
        said = f"{worst.whose} is not served at this time"
    elif worst.wait_s is None:
        said = f"this prompt alone is longer than the {found.limit:,} {what} of {worst.whose}"
    elif found.name == "concurrency":
        said = f"{worst.whose} has {found.limit} request{'s' * (found.limit != 1)} under way, and may not have more"
    else:
        said = f"{worst.whose} has used its {found.limit:,} {what}"
    code = "outside_hours" if found.name == "hours" else "rate_limit_exceeded"
    when = "shorten it" if worst.wait_s is None else f"try again in {span_text(worst.wait_s)}"
    error = ApiError(429, code, f"{said}; {when}", found.name)
    for name, value in headers:
        error.add_header(name, value)
    if worst.wait_s is None or worst.wait_s > HOPELESS_RETRY_S:
        error.add_header("x-should-retry", "false")
    return error if worst.wait_s is None else error.retry_after(max(1, ceil(worst.wait_s)))


def _group_words(group: str) -> str:
    return f"the group {group}"


def _openings(limits: Limits) -> tuple[Opening, ...]:
    return tuple(opening for text in limits.hours or () for opening in parse_hours(text))
