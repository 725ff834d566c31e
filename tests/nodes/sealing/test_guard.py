"""The guard of sealed mode: which addresses it lets pass, what it calls a process, and what it writes down."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.sealing import guard
from nodes.sealing.guard import Guard, Journal, Rules, SealedError, as_address, is_this_machine


def rules(directory: Path, *networks: str, names: tuple[str, ...] = (), sealed: bool = True) -> Rules:
    path = directory / guard.RULES
    path.write_text(json.dumps({"sealed": sealed, "networks": networks, "names": names}))
    return Rules(str(path))


def lines(directory: Path) -> list[dict[str, object]]:
    journal = directory / guard.JOURNAL
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Guard]:
    """A guard that is asked directly: as a hook it would stay in this process."""
    yield Guard(rules(tmp_path, "10.1.0.0/24", names=("head",)), Journal(str(tmp_path / guard.JOURNAL), "a test"))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("localhost", True),
        ("10.1.0.7", True),
        ("::ffff:10.1.0.7", True),
        ("fd00::7", True),
        ("HEAD", True),
        ("head.", True),
        ("10.2.0.7", False),
        ("::ffff:10.2.0.7", False),
        ("fd01::7", False),
        ("fe80::1%eth0", False),
        ("169.254.169.254", False),
        ("224.0.0.251", False),
        ("huggingface.co", False),
        ("head.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_this_machine_and_the_cluster_are_reached_and_nobody_else(tmp_path: Path, host: str, allowed: bool) -> None:
    assert rules(tmp_path, "10.1.0.0/24", "fd00::/64", names=("head",)).allows(host) is allowed


def test_rules_that_change_are_followed_at_once(tmp_path: Path) -> None:
    before = rules(tmp_path)
    first = before.allows("10.1.0.7")
    rules(tmp_path, "10.1.0.7/32")
    second = before.allows("10.1.0.7")
    rules(tmp_path, sealed=False)

    assert (first, second, before.allows("huggingface.co")) == (False, True, True)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"sealed": false}', '{"sealed": 1, "networks": ["x"], "names": []}']
)
def test_rules_that_cannot_be_read_allow_this_machine_only(tmp_path: Path, content: str) -> None:
    (tmp_path / guard.RULES).write_text(content)
    read = Rules(str(tmp_path / guard.RULES))

    assert [read.allows(host) for host in ("127.0.0.1", "10.1.0.7", "head")] == [True, False, False]


def test_what_is_refused_says_who_tried_and_what_may_be_done(watched: Guard, tmp_path: Path) -> None:
    with pytest.raises(SealedError, match=r"203\.0\.113\.9:443.*sealed\.networks") as told:
        watched.heard("socket.connect", (None, ("203.0.113.9", 443)))

    (line,) = lines(tmp_path)
    assert isinstance(told.value, OSError)
    assert (line["verdict"], line["what"], line["peer"]) == ("refused", "connects to", "203.0.113.9:443")
    assert (line["process"], line["count"]) == ("a test", 1)
    assert __name__ in list(line["modules"])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.sendto", (None, ("203.0.113.9", 53))),
        ("socket.sendmsg", (None, ("2001:db8::9", 53, 0, 0))),
        ("socket.getaddrinfo", ("huggingface.co", 443, 0, 0, 0)),
        ("socket.getaddrinfo", (b"huggingface.co", 443, 0, 0, 0)),
        ("socket.gethostbyname", ("huggingface.co",)),
        ("socket.gethostbyaddr", ("203.0.113.9",)),
        ("socket.gethostbyaddr", ("10.1.0.7",)),  # a name server elsewhere would be asked
        ("socket.getnameinfo", (("203.0.113.9", 80),)),
        ("subprocess.Popen", ("/usr/bin/curl", ["curl", "x"], None, None)),
        ("subprocess.Popen", (None, ["/bin/sh", "-c", "cd / && wget x"], None, None)),
        ("subprocess.Popen", (None, "echo x | nc 203.0.113.9 80", None, None)),
        ("os.posix_spawn", ("/usr/bin/ssh", ["ssh", "x"], None)),
        ("os.exec", ("/usr/bin/pip", ["pip", "install"], None)),
        ("os.system", (b"git push",)),
    ],
)
def test_every_way_out_that_python_tells_of_is_refused(
    watched: Guard, event: str, arguments: tuple[object, ...]
) -> None:
    with pytest.raises(SealedError):
        watched.heard(event, arguments)


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, "/run/potluck/node.sock")),
        ("socket.connect", (None, ("127.0.0.1", 8400))),
        ("socket.sendmsg", (None, None)),
        ("socket.getaddrinfo", (None, 8400, 0, 0, 0)),
        ("socket.getaddrinfo", ("203.0.113.9", 80, 0, 0, 0)),  # of an address nobody asks anybody
        ("socket.gethostbyaddr", ("127.0.0.1",)),
        ("subprocess.Popen", (sys.executable, [sys.executable, "-c", "curl"], None, None)),
        ("subprocess.Popen", (None, ["/bin/sh", "-c", 'read -r go && exec "$@"', "gate", sys.executable], None, None)),
        ("subprocess.Popen", ("openssl", ("openssl", "sha512", "model.cpp"), None, None)),  # torch, as it compiles
        ("os.system", (b"ls",)),
        ("open", ("/etc/hosts", "r", 0)),
    ],
)
def test_what_stays_on_the_machine_passes_and_is_not_written_down(
    watched: Guard, tmp_path: Path, event: str, arguments: tuple[object, ...]
) -> None:
    watched.heard(event, arguments)

    assert lines(tmp_path) == []


def test_what_is_reached_in_the_cluster_is_counted_and_not_written_each_time(watched: Guard, tmp_path: Path) -> None:
    for _ in range(50):
        watched.heard("socket.connect", (None, ("10.1.0.7", 8402)))
    before = len(lines(tmp_path))
    watched._journal.close()

    assert before == 1
    assert [(line["verdict"], line["peer"], line["count"]) for line in lines(tmp_path)] == [
        ("contacted", "10.1.0.7:8402", 1),
        ("contacted", "10.1.0.7:8402", 49),
    ]


def test_addresses_in_every_dress_are_what_they_mean() -> None:
    assert str(as_address("::ffff:10.1.0.7")) == "10.1.0.7"
    assert as_address("head") is None
    assert [is_this_machine(host) for host in ("127.0.0.1", "::", "10.1.0.7", "head")] == [True, True, False, None]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["-P", "-m", "cli.main", "gateway", "--supervised", "--state-dir", "/x"], "potluck gateway"),
        (["-m", "rag.parsing.child", "1", "2"], "python -m rag.parsing.child"),
        (["-I", "-u", "/opt/potluck/vllm_start.py", "--api-key-file", "/secret"], "vllm_start.py"),
        (["-W", "ignore", "-c", "print('a secret')"], "python -c"),
        (["/venv/bin/ray", "start", "--head"], "ray"),
        ([], "python"),
    ],
)
def test_a_process_is_named_without_its_arguments(monkeypatch: pytest.MonkeyPatch, words: list[str], name: str) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python3", *words])

    assert guard.process_name() == name


def test_a_process_that_cannot_be_guarded_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        Path(guard.__file__).read_text().replace("sys.addaudithook(guard.heard)", "raise RuntimeError('broken')")
    )
    done = subprocess.run(
        [sys.executable, "-c", "print('it runs')"],
        env={"PYTHONPATH": str(tmp_path), guard.DIRECTORY: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (78, "")
    assert "cannot be guarded" in done.stderr
