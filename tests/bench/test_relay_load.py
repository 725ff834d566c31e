"""The load generator accepts what the mock engine says, and refuses to measure anything else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench.relay.peers import GATEWAY, TWO_HOPS, launch_of, mock_engines
from bench.relay.programs import compiled
from bench.relay.scenarios import STREAM_TOKENS, TRANSLATED, LoadFailedError, LoadGenerator, Scenario
from bench.relay.targets import Launch, Target

pytestmark = [pytest.mark.e2e, pytest.mark.alone]  # needs a C++ compiler

WHOLE = Scenario("whole", connections=4, seconds=0.1)
STREAMED = Scenario("streamed", connections=4, seconds=0.1, tokens=STREAM_TOKENS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def load(cache: Path) -> LoadGenerator:
    return LoadGenerator(compiled("load_generator", cache), core=None)


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """The load generator leaves at the first wrong answer, with other answers half sent."""


@contextmanager
def _server_that_says(status: int, body: bytes) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _QuietServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _target(port: int, scratch: Path) -> Target:
    return Target(Launch("under-test", port, command=None), scratch, core=None)


def test_every_token_of_every_stream_is_counted(load: LoadGenerator, cache: Path, tmp_path: Path) -> None:
    with mock_engines(compiled("mock_engine", cache), core=None) as ports:
        streamed = load.drive(STREAMED, _target(ports[0], tmp_path))
        whole = load.drive(WHOLE, _target(ports[1], tmp_path))

    assert streamed.requests > 0
    assert streamed.tokens == streamed.requests * STREAM_TOKENS
    assert whole.requests > 0
    assert 0 < whole.whole_p50_ms <= whole.whole_p99_ms


@pytest.mark.parametrize(("name", "dialects"), [(GATEWAY, ("chat", *TRANSLATED)), (TWO_HOPS, ("chat",))])
def test_the_gateway_as_the_bench_sets_it_up_serves_what_the_bench_asks(
    load: LoadGenerator, cache: Path, tmp_path: Path, name: str, dialects: Sequence[str]
) -> None:
    with (
        mock_engines(compiled("mock_engine", cache), core=None) as ports,
        Target(launch_of(name, ports, tmp_path, cache), tmp_path, core=None) as target,
    ):
        target.wait_ready()
        answered = [load.drive(replace(WHOLE, dialect=dialect), target).requests for dialect in dialects]
        assert target.launch.bearer_file is not None
        target.launch.bearer_file.unlink()  # the bench's state is temporary; what tests leave behind holds no key

    assert all(answered)


def test_a_paced_stream_keeps_the_pace_that_its_prompt_asks_for(
    load: LoadGenerator, cache: Path, tmp_path: Path
) -> None:
    paced = Scenario("paced", connections=1, seconds=0.1, tokens=10, paced=True)

    with mock_engines(compiled("mock_engine", cache), core=None) as ports:
        measured = load.drive(paced, _target(ports[0], tmp_path))

    assert measured.first_p50_ms >= 20
    assert measured.whole_p50_ms >= 20 + 9 * 10


@pytest.mark.parametrize(
    ("scenario", "status", "body", "complaint"),
    [
        (WHOLE, 500, b'{"error":{}}', "refused"),
        (WHOLE, 200, b'{"id":"no usage"}', "not a whole answer"),
        (
            STREAMED,
            200,
            b'data: {"choices":[{"delta":{"content":" oat"}}]}\n\n',
            "1 of 100 tokens, the last event missing",
        ),
        (STREAMED, 200, b'data: {"error":{"message":"lost"}}\n\n', "an error in a stream"),
    ],
)
def test_a_wrong_answer_ends_the_run(
    load: LoadGenerator, tmp_path: Path, scenario: Scenario, status: int, body: bytes, complaint: str
) -> None:
    with _server_that_says(status, body) as port, pytest.raises(LoadFailedError, match="under-test") as failure:
        load.drive(scenario, _target(port, tmp_path))

    assert complaint in failure.value.detail
