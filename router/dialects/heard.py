"""What an engine says in chat completions, as far as others retell it: chunks of a stream, and a whole answer."""

import msgspec


class FunctionPiece(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class ToolPiece(msgspec.Struct):
    """The first piece of a call names it; later ones go on with its arguments."""

    index: int = 0
    id: str | None = None
    function: FunctionPiece | None = None


class Delta(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolPiece] | None = None

    @property
    def thought(self) -> str | None:
        """Under either of the names that engines give it."""
        return self.reasoning or self.reasoning_content


class CachedTokens(msgspec.Struct):
    cached_tokens: int | None = None


class ReasoningTokens(msgspec.Struct):
    reasoning_tokens: int | None = None


class Counted(msgspec.Struct):
    """Tokens of a request, as its engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: CachedTokens | None = None
    completion_tokens_details: ReasoningTokens | None = None

    @property
    def cached(self) -> int:
        return (self.prompt_tokens_details.cached_tokens or 0) if self.prompt_tokens_details else 0

    @property
    def reasoning(self) -> int:
        return (self.completion_tokens_details.reasoning_tokens or 0) if self.completion_tokens_details else 0


class ChoicePiece(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None  # vLLM: the stop text that ended it
    logprobs: msgspec.Raw = msgspec.Raw()
    text: str | None = None  # of completions, which have no messages


class Timings(msgspec.Struct):
    """llama.cpp: what it took, in milliseconds."""

    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class Chunk(msgspec.Struct):
    choices: list[ChoicePiece] = []
    usage: Counted | None = None
    timings: Timings | None = None


class WholeChoice(msgspec.Struct):
    message: Delta
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: msgspec.Raw = msgspec.Raw()


class Answer(msgspec.Struct):
    choices: list[WholeChoice]
    usage: Counted | None = None
    timings: Timings | None = None


class _TextChoice(msgspec.Struct):
    text: str
    finish_reason: str | None = None


class _TextAnswer(msgspec.Struct):
    choices: list[_TextChoice]
    usage: Counted | None = None
    timings: Timings | None = None


_chunks = msgspec.json.Decoder(Chunk)
_answers = msgspec.json.Decoder(Answer)
_text_answers = msgspec.json.Decoder(_TextAnswer)
_DATA, _DONE = b"data:", b"[DONE]"


def answer_in(body: bytes) -> Answer:
    """Raises msgspec.DecodeError for what is no chat completion with one choice at least."""
    answer = _answers.decode(body)
    if not answer.choices:
        raise msgspec.ValidationError("an answer without a choice")
    return answer


def text_answer_in(body: bytes) -> Answer:
    """The same of a completion, as if it were of a chat. Raises msgspec.DecodeError as `answer_in` does."""
    answer = _text_answers.decode(body)
    if not answer.choices:
        raise msgspec.ValidationError("an answer without a choice")
    choices = [WholeChoice(Delta(choice.text), choice.finish_reason) for choice in answer.choices]
    return Answer(choices, answer.usage, answer.timings)


def chunks_in(events: bytes) -> list[Chunk | None]:
    """Of whole events; None for the marker of the end. Comments say nothing. Raises msgspec.DecodeError before any is
    told: a call that has said nothing yet begins anew elsewhere, with the same voice."""
    said = [line[len(_DATA) :].strip() for line in events.split(b"\n") if line.startswith(_DATA)]
    return [None if data == _DONE else _chunks.decode(data) for data in said]
