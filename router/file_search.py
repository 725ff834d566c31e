"""The tool `file_search`: what a client says of it, what is asked of people's documents, and how much of them has room.
Pure."""

from collections.abc import Mapping

import msgspec

from cluster.knowledge import Ask, Found, FoundPassage
from cluster.moments import moment_of

FOUND = 8  # chunks, where a client does not say how many
MOST_TOKENS = 2_000  # of passages in a prompt
SHARE = 4  # a quarter of the model's context is theirs
LEAST_TOKENS = 64  # with less room than this nothing is looked for
ANSWER_TOKENS = 256  # kept free for an answer that may be longer
QUESTION_CHARACTERS = 2_000  # of a long question its beginning and its end are looked for
SOURCES_BYTES = 1_000  # of a header
NOTHING = (
    "The documents were searched for this question, and nothing relevant to it was found in them: cite none, and if "
    "the question is about them, say that they do not answer it."
)


class FileSearch(msgspec.Struct, frozen=True):
    """What a client says of the tool. Without stores: it offers the tool and wants it left alone."""

    store_ids: tuple[str, ...] = ()
    limit: int = FOUND
    filter: Mapping[str, object] | None = None
    least_score: float = 0.0
    alpha: float | None = None
    results: bool = False  # it wants to see what was found, besides what is cited
    field: str = "tools"  # that names the stores
    rerank: bool = True
    as_of: str | float | None = None  # a moment, as cluster.moments reads it; None: what holds

    def ask(self, question: str, budget_tokens: int, now_s: float) -> Ask:
        """`now_s`: wall time. A moment that is none was refused when it was said."""
        return Ask(
            question, self.store_ids, self.limit, self.filter, self.least_score, self.alpha, budget_tokens,
            None if self.as_of is None else moment_of(self.as_of, now_s), self.rerank,
        )  # fmt: skip


LEFT_ALONE = FileSearch()


class Searched(msgspec.Struct, frozen=True):
    """What was found for one question, as its answer tells of it. `by_tool`: the client offered the tool itself."""

    question: str
    passages: tuple[FoundPassage, ...]
    origin: str = ""  # scheme and host by which the client came; "" where that is not known
    by_tool: FileSearch | None = None

    @property
    def words(self) -> str:
        """For headers and for people who ask why."""
        if not self.passages:
            return "nothing relevant"
        files = len({(passage.store_id, passage.file_id) for passage in self.passages})
        return f"{_counted(len(self.passages), 'passage')} of {_counted(files, 'file')}"

    @property
    def sources(self) -> str:
        """The passages in a line, for dialects without a field for them: as many as have room."""
        line = ""
        for passage in self.passages:
            source = " ".join(passage.source.encode("ascii", "replace").decode().split())
            longer = f"{line}; [{passage.number}] {source}" if line else f"[{passage.number}] {source}"
            if len(longer) > SOURCES_BYTES:
                return f"{line}; ..." if line else f"{longer[:SOURCES_BYTES]}..."
            line = longer
        return "".join(character if character.isprintable() else "?" for character in line)


def room_for(context_tokens: int | None, prompt_tokens: int, answer_tokens: int | None) -> int:
    """Tokens of passages beside a prompt and the beginning of its answer, in a context of so many; None: unknown."""
    if not context_tokens:
        return MOST_TOKENS
    answer = ANSWER_TOKENS if answer_tokens is None else min(answer_tokens, ANSWER_TOKENS)
    return max(0, min(MOST_TOKENS, context_tokens // SHARE, context_tokens - prompt_tokens - answer))


def shortened(question: str) -> str:
    """As much of a question as an encoder can make anything of."""
    question = question.strip()
    if len(question) <= QUESTION_CHARACTERS:
        return question
    half = QUESTION_CHARACTERS // 2
    return f"{question[:half]}\n{question[-half:]}"


def told(found: Found) -> str:
    """What the model reads of it."""
    return found.context if found.passages else NOTHING


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
