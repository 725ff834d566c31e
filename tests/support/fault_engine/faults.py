"""What the fault engine does wrong, and how tokens come to be: all of it decidable from outside."""

import hashlib
from dataclasses import dataclass, fields


@dataclass
class Faults:
    """Every field is a flag (`--slow-start-s`) and a key of `POST /fault`. The defaults do nothing wrong."""

    slow_start_s: float = 0.0  # /health answers 503 (mlx: nothing listens to requests) for so long
    first_token_s: float = 0.0  # delay before the first token
    prompt_tokens_per_s: float = 0.0  # of one prompt after the other; 0: all at once
    tokens_per_s: float = 0.0  # 0: as fast as the socket takes them
    answer_tokens: int = 8  # length of an answer that no max_tokens cuts shorter
    die_after: int = 0  # tokens over all requests until it dies; 0: never
    die_how: str = "exit"  # "exit", "kill" (SIGKILL to itself) or "close" (closes the socket and lives on)
    die_at_start_s: float = 0.0  # exits with status 1 so long after the start; 0: never
    hang_on_sigterm: bool = False
    frozen: bool = False  # health stays 200, generation stops, metrics stand still
    silent: bool = False  # accepts requests and never answers them
    failing: bool = False  # answers generation with 500
    only_reads: bool = False  # has no route that writes, as of a model that makes vectors
    floats_only: bool = False  # vectors are never packed, whatever is asked
    deaf: bool = False  # accepts connections and never answers anything, health and metrics included
    malformed_after: int = 0  # after so many tokens a stream carries a broken event; 0: never
    tokens_per_event: int = 1  # of a stream
    reasoning_tokens: int = 0  # so many of each answer, its first, are reasoning

    def change(self, wanted: dict[str, object]) -> None:
        known = {field.name for field in fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"no fault is called {name}; there are {', '.join(sorted(known))}")
            setattr(self, name, value)


def token(prompt: str, index: int) -> str:
    """The index-th token of the answer to `prompt`: a hash of both, so that a gap or a repeat is visible."""
    return hashlib.sha256(f"{prompt}|{index}".encode()).hexdigest()[:6] + " "
