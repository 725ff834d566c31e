"""What is to become of what is found: the strictest that cluster.yaml, a key or a space says, and who said it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from cluster.pii.scan import LEAST
from cluster.pii.spans import KINDS, Kind, Span, counted, told

Policy = Literal["off", "tag", "redact", "pseudonymise", "refuse"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
"""From the mildest to the strictest. Whoever asks for pseudonyms wants every value hidden and none lost, so they go
before blanks: a blank cannot be put back."""
CLUSTER, KEY, SPACE = "cluster.yaml", "the key", "the space"


@dataclass(frozen=True, slots=True)
class PiiRules:
    """The section `pii` of cluster.yaml. `kinds` have a policy of their own."""

    default: Policy = "off"
    kinds: tuple[tuple[Kind, Policy], ...] = ()
    least: float = LEAST  # the confidence from which anything counts

    def policy_of(self, kind: Kind) -> Policy:
        return dict(self.kinds).get(kind, self.default)


NO_PII = PiiRules()


class Said(NamedTuple):
    """What somebody says of all kinds; None: nothing."""

    who: str
    policy: Policy | None


class Ruling(NamedTuple):
    policy: Policy
    who: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What applies to each kind, and by whom. Kinds that nobody cares for are not in it."""

    rulings: Mapping[Kind, Ruling]
    least: float

    def policy_of(self, kind: Kind) -> Policy:
        ruling = self.rulings.get(kind)
        return "off" if ruling is None else ruling.policy

    def has(self, *policies: Policy) -> bool:
        return any(ruling.policy in policies for ruling in self.rulings.values())

    def of_interest(self, spans: Iterable[Span]) -> list[Span]:
        return [span for span in spans if span.kind in self.rulings]

    def refused(self, counts: Mapping[Kind, int]) -> Mapping[Kind, int]:
        return {kind: count for kind, count in counts.items() if self.policy_of(kind) == "refuse"}

    def why(self, counts: Mapping[Kind, int]) -> str:
        """As `email=redact (the key), iban=refuse (cluster.yaml)`, of what was found."""
        rulings = [(kind, self.rulings[kind]) for kind in counts if kind in self.rulings]
        return ", ".join(f"{kind}={ruling.policy} ({ruling.who})" for kind, ruling in rulings)

    @property
    def mark(self) -> str:
        """The same for plans that do the same."""
        return ",".join(f"{kind}={ruling.policy}" for kind, ruling in self.rulings.items()) + f",{self.least:g}"


def plan_of(rules: PiiRules, said: Sequence[Said] = ()) -> Plan | None:
    """The strictest of all that is said of each kind. None where nothing is to be looked for."""
    rulings = {kind: _strictest(rules.policy_of(kind), said) for kind in KINDS}
    rulings = {kind: ruling for kind, ruling in rulings.items() if ruling.policy != "off"}
    return Plan(rulings, rules.least) if rulings else None


def _strictest(policy: Policy, said: Sequence[Said]) -> Ruling:
    ruling = Ruling(policy, CLUSTER)
    for who, other in said:
        if other is not None and POLICIES.index(other) > POLICIES.index(ruling.policy):
            ruling = Ruling(other, who)
    return ruling


def refusal_of(plan: Plan, spans: Iterable[Span]) -> str | None:
    """Why a text with these is not taken: kinds and counts, never a value."""
    refused = plan.refused(counted(spans))
    if not refused:
        return None
    return f"it holds personal data or secrets that are refused here: {told(refused)} ({plan.why(refused)})"
