"""What engines have answered, given again: vectors always, other answers where an operator said so of model or key."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from cluster.cache_rules import CacheRules
from cluster.snapshot import ModelView
from inventory.catalog import ModelRef
from inventory.clock import Clock
from router.assembly import Assembly
from router.borders import Borders, scope_of
from router.cache_store import CacheStore, Entry, Kind
from router.call_report import CallReport
from router.errors import STREAM_DONE, ApiError
from router.given_again import events_again, key_of, whole_again
from router.reply import Client, reply_to, voice_of
from router.request import Arrival, EngineApi, InferenceRequest, Voice
from router.usage import StreamTap
from router.vector_cache import KeepingVectors, texts_of

LARGEST_BYTES = 1 << 20  # of an answer


class AnswerCache:
    """Asked before a call begins. Without a store nothing is kept."""

    def __init__(self, store: CacheStore | None, clock: Clock, rules: Callable[[], CacheRules]) -> None:
        self._store, self._clock, self._rules = store, clock, rules
        self._borders: object = None  # as they were when what is kept was looked through
        self.asked: defaultdict[tuple[Kind, bool], int] = defaultdict(int)  # how often, by whether it was there

    def keeping(self, request: InferenceRequest, view: ModelView) -> "AnyKeeping | None":
        """None where this request's answer is not to be kept."""
        if self._store is None or view.ref is None or request.arrival.fresh:
            return None
        if request.parsed.writes:
            kept_s = request.arrival.identity.answers_kept_s or view.answers_kept_s
            return None if kept_s is None else Keeping(self, request, view.ref, kept_s)
        texts = texts_of(request.parsed) if self._rules().vectors else None
        return None if texts is None else KeepingVectors(self, request, view.ref, texts)

    def follow(self, borders: Borders) -> None:
        """A snapshot came: what may not be on this machine any more goes."""
        facts = borders.rules.zones, borders.places.gateway
        if self._store is not None and facts != self._borders:
            self._borders = facts
            self._store.forget_unless(borders.may_stay)

    def find(self, tenant: str, key: bytes, kept_s: float) -> bytes | None:
        """What an engine answered, at most so long ago."""
        assert self._store is not None
        body = self._store.find("answers", tenant, (key,), self._clock.wall_s() - kept_s).get(key)
        self.asked["answers", body is not None] += 1
        return body

    def vectors(self, tenant: str, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """What engines made of texts, whenever that was: the same weights make the same of them."""
        assert self._store is not None
        found = self._store.find("vectors", tenant, list(set(keys)), 0.0)
        there = sum(key in found for key in keys)
        self.asked["vectors", True] += there
        self.asked["vectors", False] += len(keys) - there
        return found

    def keep(self, entries: Sequence[Entry]) -> None:
        assert self._store is not None
        self._store.keep(entries)


class Keeping:
    """One request whose answer may have been given before. If not, it listens to the call, and keeps its answer once
    that is known to be whole and of the weights that were meant."""

    def __init__(self, cache: AnswerCache, request: InferenceRequest, ref: ModelRef, kept_s: float) -> None:
        self._cache, self._ref, self._kept_s = cache, ref, kept_s
        self._tenant = request.arrival.identity.tenant
        self._classes = request.classes
        self._key = key_of(scope_of(self._tenant, self._classes), ref, request.parsed)
        self._body: bytes | None = None

    def before(self) -> bytes | None:
        """What an engine answered then."""
        return self._cache.find(self._tenant, self._key, self._kept_s)

    def listen(self, request: InferenceRequest) -> InferenceRequest:
        """The same request, with an ear at its answer."""
        parsed = request.parsed

        def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
            inner = voice_of(parsed, arrival, prompt_tokens)
            return _Ear(inner, self, parsed.engine_api, parsed.usage_wanted)

        return replace(request, parsed=replace(parsed, voice=voice, usage_wanted=True))

    def heard(self, body: bytes) -> None:
        """An engine's whole answer. The last counts, as a call may be tried twice."""
        self._body = body if len(body) <= LARGEST_BYTES else None

    def ended(self, report: CallReport) -> None:
        """The call is over."""
        if self._body is not None and report.answered_by(self._ref):
            name = self._ref.name
            self._cache.keep((Entry(self._key, "answers", self._tenant, name, self._body, self._classes),))


class _Ear:
    """Implements router.request.Voice: says what another voice says."""

    def __init__(self, voice: Voice, keeping: Keeping, api: EngineApi, usage_wanted: bool) -> None:
        self._voice, self._keeping = voice, keeping
        self._assembly: Assembly | None = Assembly(api)
        self._tap = None if usage_wanted else StreamTap(usage_wanted=False)  # takes out what the client did not ask
        self.content_type, self.comments = voice.content_type, voice.comments

    def whole(self, body: bytes) -> bytes:
        said = self._voice.whole(body)
        self._keeping.heard(body)
        return said

    def events(self, events: bytes) -> bytes:
        said = self._voice.events(self._tap.pass_on(events) if self._tap is not None else events)
        self._collect(events)
        return said

    def broken(self, error: ApiError) -> bytes:
        return self._voice.broken(error)

    def _collect(self, events: bytes) -> None:
        if self._assembly is None:
            return
        self._assembly.push(events)
        if self._assembly.taken_bytes > 8 * LARGEST_BYTES:  # events say little in many words
            self._assembly = None
        elif events.endswith(STREAM_DONE):
            self._keeping.heard(self._assembly.body())


def give_again(body: bytes, request: InferenceRequest, lines: bytes, client: Client, now_s: float) -> None:
    """Answer as an engine would have. Raises msgspec.DecodeError, with nothing written, where `body` is no answer."""
    parsed, reply = request.parsed, reply_to(request, client)
    api, request_id = parsed.engine_api, request.request_id
    if not parsed.writes:
        reply.whole(lines, body)
    elif parsed.stream:
        reply.events(lines, events_again(body, api, request_id, now_s, parsed.usage_wanted))
        reply.end()
    else:
        reply.whole(lines, whole_again(body, api, request_id, now_s))


AnyKeeping = Keeping | KeepingVectors
