"""Children that parse, from outside: started when needed, kept for the next file, killed when one goes too far.

A child serves files in turn, since starting one takes a second, and ends with whatever goes wrong in it. Keeping one
is safe for what it parses, not for secrets between files: it holds nothing of the file before but what a library kept.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

import psutil

from inventory.clock import Clock
from nodes.sealing.guard import DIRECTORY
from rag.parsing.wire import LENGTH_BYTES, MOST_ANSWER_BYTES, Bounds, frame, framed_length

FILES_OF_A_CHILD = 200
_KEPT = 2  # idle children at most
_LOOK_EVERY_S = 0.2
_GRACE_S = 5.0  # on top of a file's time: the child starts and answers by itself before it is killed
_PIECE = 1 << 18
_HANDED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", DIRECTORY)
_ENVIRONMENT = {
    "PYTHONSAFEPATH": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",  # its threads take addresses, which are bounded, and nothing here computes
    "OMP_NUM_THREADS": "1",
}


class ChildDiedError(Exception):
    """The child that parsed is gone, and why. Becomes the problem of the file, by rag.parsing.job."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _LeftError(ChildDiedError):
    """It had waited long and left by itself, before this file. Handled by whoever keeps children: another is asked."""


class BoundedChildren:
    """Answers frames by children. May be asked from several threads: there are as many children as ask at a time."""

    def __init__(self, bounds: Bounds, clock: Clock) -> None:
        self._bounds = bounds
        self._clock = clock
        self._idle: list[_Child] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, content: bytes) -> bytes:
        """Blocks. Raises ChildDiedError."""
        while True:
            child = self._take()
            try:
                answer = child.ask(content)
            except _LeftError:
                child.kill()
            except BaseException:
                child.kill()
                raise
            else:
                self._keep(child)
                return answer

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    def _take(self) -> "_Child":
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.is_alive():
                    return child
                child.kill()
        return _Child(self._bounds, self._clock)

    def _keep(self, child: "_Child") -> None:
        with self._lock:
            if len(self._idle) < _KEPT and child.served < FILES_OF_A_CHILD:
                self._idle.append(child)
                return
        child.kill()


class _Child:
    def __init__(self, bounds: Bounds, clock: Clock) -> None:
        self.served = 0
        self._bounds = bounds
        self._clock = clock
        words = ["-m", "rag.parsing.child", *map(str, (bounds.memory_bytes, bounds.seconds, bounds.idle_s))]
        self._process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env=_environment(),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, content: bytes) -> bytes:
        self.served += 1
        deadline = self._clock.monotonic_s() + self._bounds.seconds + _GRACE_S
        waiting, answer = memoryview(frame(content)), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._input, selectors.EVENT_WRITE)
            selector.register(self._output, selectors.EVENT_READ)
            while not _is_whole(answer):
                for key, _ in selector.select(_LOOK_EVERY_S):
                    if key.fd == self._input:
                        waiting = waiting[self._write(waiting) :]
                        if not waiting:
                            selector.unregister(self._input)
                    else:
                        answer += self._read()
                self._check(deadline, len(answer))
        return bytes(answer[LENGTH_BYTES:])

    def _write(self, waiting: memoryview) -> int:
        try:
            return os.write(self._input, waiting[:_PIECE])
        except BlockingIOError:
            return 0
        except BrokenPipeError as error:
            raise self._death() from error

    def _read(self) -> bytes:
        try:
            piece = os.read(self._output, _PIECE)
        except BlockingIOError:
            return b""
        if not piece:
            raise self._death()
        return piece

    def _check(self, deadline: float, answered: int) -> None:
        if answered > MOST_ANSWER_BYTES:
            raise ChildDiedError(f"gave more than {MOST_ANSWER_BYTES // 1_000_000} MB of text")
        if self._clock.monotonic_s() > deadline:
            raise ChildDiedError(f"took longer than {self._bounds.seconds:g} s")
        if sys.platform == "darwin" and self._resident() > self._bounds.memory_bytes:
            raise ChildDiedError(_too_much(self._bounds))

    def _resident(self) -> int:
        """For systems that do not bound it themselves."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def _death(self) -> ChildDiedError:
        """Why it went by itself: its output has ended."""
        code = self._process.wait(_GRACE_S)
        if code == 0 and self.served > 1:
            return _LeftError("left")
        if code == -signal.SIGXCPU:
            return ChildDiedError(f"took longer than {self._bounds.seconds:g} s")
        if -code in (signal.SIGABRT, signal.SIGTRAP, signal.SIGILL, signal.SIGKILL):  # libraries end so without memory
            return ChildDiedError(f"ended by signal {-code}, perhaps since it {_too_much(self._bounds)}")
        return ChildDiedError(f"ended by signal {-code}" if code < 0 else f"ended with status {code}")

    def kill(self) -> None:
        """With whatever it started. It has nothing to save."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


def _environment() -> dict[str, str]:
    """What starting Python takes, and none of the secrets that programs are given this way."""
    return {name: os.environ[name] for name in _HANDED_ON if name in os.environ} | _ENVIRONMENT


def _is_whole(answer: bytearray) -> bool:
    return len(answer) >= LENGTH_BYTES and len(answer) >= LENGTH_BYTES + framed_length(bytes(answer[:LENGTH_BYTES]))


def _too_much(bounds: Bounds) -> str:
    return f"took more than {bounds.memory_bytes / 2**30:.3g} GiB of memory"
