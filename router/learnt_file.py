"""What a gateway learnt of its engines, in a file: the next gateway goes on from there."""

import asyncio
from pathlib import Path

import msgspec

from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.snapshot import EngineId
from router.call_context import CallContext
from router.rates import Learnt

SAVE_EVERY_S = 30.0

_decoder = msgspec.json.Decoder(dict[str, Learnt])


class LearntFile:
    """`load` before the first snapshot; `run` until cancelled; `save` at the end."""

    def __init__(self, paths: StatePaths, context: CallContext) -> None:
        self._path: Path = paths.gateway / "learnt.json"
        self._context = context
        self._saved: bytes = b""

    def load(self) -> None:
        """A file that cannot be read is as good as none."""
        try:
            self._saved = self._path.read_bytes()
            known = _decoder.decode(self._saved)
        except (OSError, msgspec.DecodeError):
            return
        self._context.learnt.update((EngineId(name), learnt) for name, learnt in known.items())

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await asyncio.to_thread(self._write, self._encoded())

    def save(self) -> None:
        self._write(self._encoded())

    def _encoded(self) -> bytes:
        return msgspec.json.encode(self._context.remember())

    def _write(self, text: bytes) -> None:
        if text == self._saved:
            return
        try:
            write_secret(self._path, text.decode())
        except OSError as error:  # the next gateway learns anew
            self._context.log.emit("learnt_not_saved", error=str(error))
        else:
            self._saved = text
