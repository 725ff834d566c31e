"""Lines of logs that have to do with somebody, found and made unreadable where they lie, while others go on writing."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster.erasure import Gone, Holding, Piece, Sought


class LogErasure:
    """Implements cluster.erasure.Erasable over folders of text files. A line keeps its length, so that a service that
    writes behind it is not in the way; its content becomes spaces. Methods may raise OSError."""

    place = "logs"

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        count = await asyncio.to_thread(lambda: sum(1 for _ in self._found(sought)))
        return (Holding(self.place, "lines", count),) if count else ()

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        def pieces() -> tuple[Piece, ...]:
            lines: dict[str, bytes] = {}
            for path, _, line in self._found(sought):
                lines[path.name] = lines.get(path.name, b"") + line + b"\n"
            return tuple(Piece(f"{self.place}/{name}", content) for name, content in lines.items())

        return await asyncio.to_thread(pieces)

    async def erase(self, sought: Sought) -> Gone:
        held = await self.holds(sought)
        await asyncio.to_thread(self._blank, sought)
        return Gone(held)

    def _blank(self, sought: Sought) -> None:
        for path, offset, line in list(self._found(sought)):
            with path.open("r+b") as file:
                file.seek(offset)
                if file.read(len(line)) == line:  # an engine's log may have been cut meanwhile
                    os.pwrite(file.fileno(), b" " * len(line), offset)
                    os.fsync(file.fileno())
        if any(True for _ in self._found(sought)):
            raise OSError("a log was cut or renamed while it was rewritten")

    def _found(self, sought: Sought) -> Iterator[tuple[Path, int, bytes]]:
        """File, offset and line, without its end."""
        for folder in self._folders:
            for path in sorted(folder.rglob("*")) if folder.exists() else ():
                if path.is_file() and not path.is_symlink():
                    yield from _lines(path, sought)


def _lines(path: Path, sought: Sought) -> Iterator[tuple[Path, int, bytes]]:
    try:
        with path.open("rb") as file:
            offset = 0
            for raw in file:
                line = raw.rstrip(b"\r\n")
                if line.strip() and sought.marks_line(line.decode(errors="replace")):
                    yield path, offset, line
                offset += len(raw)
    except FileNotFoundError:  # it was renamed since
        return
