"""Personal data and secrets of one request: what was found in its prompt, what stands there instead, and what is put
back into its answer. Pure.

A request whose key and cluster say nothing of them never comes here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from cluster.pii.policy import Plan
from cluster.pii.pseudonyms import pseudonym
from cluster.pii.rewriting import rewritten
from cluster.pii.scan import scan
from cluster.pii.spans import KINDS, Kind, Span, told
from router.errors import ApiError, invalid

_json = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
REFUSED = "personal_data"


class Marks:
    """Kinds and counts, and why what became of them: all that is told and kept of it. No value."""

    __slots__ = ("_counts", "plan")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._counts: Counter[Kind] = Counter()

    def add(self, spans: Sequence[Span]) -> None:
        self._counts.update(span.kind for span in spans)

    @property
    def counts(self) -> Mapping[Kind, int]:
        return {kind: self._counts[kind] for kind in KINDS if self._counts[kind]}

    @property
    def words(self) -> str:
        """For the record of the request; "" where nothing was found."""
        return told(self.counts)

    def header_lines(self) -> bytes:
        counts = self.counts
        if not counts:
            return b""
        return f"x-potluck-pii: {told(counts)}\r\nx-potluck-pii-policy: {self.plan.why(counts)}\r\n".encode()


class Guard:
    """Of one request. `values` grows while its prompt is read, and what answers it looks there."""

    def __init__(self, plan: Plan, key: bytes) -> None:
        self.plan, self._key = plan, key
        self.marks = Marks(plan)
        self.values: dict[str, str] = {}  # by the pseudonym that stands for each
        self.rewrites = plan.has("redact", "pseudonymise", "refuse")
        self.blanks = plan.has("redact", "refuse")

    def text(self, text: str) -> str:
        """As an engine may read it. What is refused is only counted here: `check` refuses it."""
        spans = self._found(text)
        self.marks.add(spans)
        return rewritten(text, spans, self.plan, self._naming).text if spans else text

    def json(self, text: str) -> str:
        """Of a text that is JSON: what stands in its strings. One that is none is taken as it is."""
        if not self._found(text):
            return text
        try:
            value = _json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return self.text(text)
        return _encode(self.value(value)).decode()

    def value(self, value: object) -> object:
        """Of anything that JSON can say, keys of objects left as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {key: self.value(one) for key, one in value.items()}
        return value

    def more(self, text: str, field: str) -> str:
        """What is added to the prompt on its way. Raises ApiError 400 as `check` does."""
        added = self.text(text)
        self.check(field)
        return added

    def check(self, field: str) -> None:
        """Raises ApiError 400 where something was found that is refused: kinds and counts, never a value."""
        refused = self.plan.refused(self.marks.counts)
        if refused:
            why = f"{told(refused)} ({self.plan.why(refused)})"
            said = f"the prompt holds personal data or secrets that are refused here: {why}"
            error = invalid(f"{said}; leave them out, or ask with a key that may send them", field, REFUSED)
            error.add_header("x-potluck-pii", self.marks.words)
            raise error

    def _found(self, text: str) -> Sequence[Span]:
        return self.plan.of_interest(scan(text, self.plan.least))

    def _naming(self, kind: Kind, value: str) -> str:
        token = pseudonym(self._key, kind, value)
        self.values[token] = value
        return token


def unreadable(field: str) -> ApiError:
    """Token ids tell nobody here what they say."""
    said = "token ids cannot be looked through for personal data, which this key must be"
    return invalid(f"{said}; send the text", field, REFUSED)
