"""What is asked of a fleet: sessions of turns. The next turn comes a while after the answer to the one before."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Turn:
    prompt_tokens: int
    output_tokens: int
    prompt_chain: tuple[int, ...]  # whole blocks of the prompt; each stands for all before it as well
    whole_chain: tuple[int, ...]  # of prompt and answer
    after_s: float = 0.0  # since the end of the turn before
    noise: float = 1.0  # its prefill takes so much longer than the machine's rate says


@dataclass(frozen=True, slots=True)
class Session:
    start_s: float
    model: str
    kind: str
    turns: tuple[Turn, ...]
    name: str | None = None  # as its client names it to the gateway; None: it does not
    user: str = "user"


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    sessions: tuple[Session, ...]
    block_tokens: int
    note: str = ""  # what was done to a trace


@dataclass(slots=True, eq=False)
class Job:
    """One turn on its way."""

    number: int
    session: Session
    turn: Turn
    place: int  # of the turn in its session
    arrived_s: float
    dispatched_s: float = 0.0
    first_s: float = 0.0
    ended_s: float = 0.0
    cached: int = 0  # tokens that its engine really had
    own_s: float = 0.0  # to read the rest, with the machine for itself
    where: str = ""
    notes: dict[str, object] = field(default_factory=dict)  # a policy's own

    @property
    def model(self) -> str:
        return self.session.model

    @property
    def prompt(self) -> int:
        return self.turn.prompt_tokens

    @property
    def output(self) -> int:
        return self.turn.output_tokens

    @property
    def tokens(self) -> int:
        return self.turn.prompt_tokens + self.turn.output_tokens

    @property
    def ttft_s(self) -> float:
        return self.first_s - self.arrived_s

    @property
    def e2e_s(self) -> float:
        return self.ended_s - self.arrived_s

    @property
    def in_time(self) -> bool:
        """Within what people accept: a first token by the length of the prompt, and then a steady pace."""
        slow = self.model == "70b"
        limit_s = 8.0 + self.prompt / 100 if slow else 2.0 + self.prompt / 2000
        pace_s = (self.ended_s - self.first_s) / max(self.output - 1, 1)
        return self.ttft_s <= limit_s and pace_s <= (0.25 if slow else 0.1)
