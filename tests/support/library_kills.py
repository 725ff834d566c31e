"""A library that is killed again and again while it reads, as a program of its own.

    python -m support.library_kills FOLDER KILLS SEED

Each life is a fork that is killed by SIGKILL at a random moment. What it wants and what it was promised it writes down:
a wish without a promise is made again in the next life, as a client would. The last life ends by itself, with all read.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from cluster.knowledge import NewStore
from inventory.clock import SystemClock
from rag.library.opened import OpenLibrary
from rag.values import Vectors
from support.libraries import ANA, ParsingHere, WordEncoder, WordEncoders, opened, reading, settled, upload
from support.rag_stores import ENCODER

FOLDER_FILES, UPLOADS = 120, 80
LONGEST_LIFE_S = 0.6


class Wish(msgspec.Struct, frozen=True):
    """`number` of a file, and which text of it; 0 and 0 are the store and its folder."""

    what: Literal["begin", "put", "drop"]
    number: int = 0
    text: int = 0
    promised: bool = False
    store_id: str = ""


class AheadClock(SystemClock):
    """For which every file of the folder has been quiet for long."""

    @staticmethod
    def wall_s() -> float:
        return time.time() + 60.0


class SlowEncoder(WordEncoder):
    """Takes its time, as one over the network does: most kills come while it is asked."""

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        await asyncio.sleep(0.005)
        return await super().vectors(texts)


class Book:
    """Wishes and promises, line by line. What a kill tore is no line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, wish: Wish) -> None:
        with self._path.open("ab", buffering=0) as file:
            file.write(msgspec.json.encode(wish) + b"\n")

    def read(self) -> list[Wish]:
        lines = self._path.read_bytes().split(b"\n")[:-1] if self._path.exists() else []
        return [msgspec.json.decode(line, type=Wish) for line in lines]


def text_of(number: int, text: int) -> str:
    """Of some files more than one chunk."""
    said = f"file {number} says text{text} of file{number}.\n\n"
    return said * (1 + 40 * (number % 3))


async def live(root: Path, seed: int, last: bool) -> None:
    encoders, book = WordEncoders(), Book(root / "book")
    encoders.each[ENCODER] = SlowEncoder(ENCODER)
    async with opened(root / "state", encoders, AheadClock(), ParsingHere()) as library, reading(library):
        wishes = book.read()
        if wishes and not wishes[-1].promised:
            await fulfil(library, root, book, wishes[-1])
        elif not wishes:
            await fulfil(library, root, book, Wish("begin"))
        if last:
            await library.watcher.look()
            await settled(library, book.read()[-1].store_id)
            return
        chance = random.Random(seed)
        while True:
            number = chance.randrange(1, UPLOADS + 1)
            what: Literal["put", "drop"] = "drop" if chance.random() < 0.15 else "put"
            wish = Wish(what, number, chance.randrange(1_000_000))
            book.write(wish)
            await fulfil(library, root, book, wish)


async def fulfil(library: OpenLibrary, root: Path, book: Book, wish: Wish) -> None:
    known = library.knowledge
    stores = await known.stores(ANA)
    store_id = stores[0].store_id if stores else (await known.create_store(ANA, NewStore("all"))).store_id
    if wish.what == "begin":
        await known.add_folder(ANA, store_id, str(root / "folder"), True)
    elif wish.what == "put":
        new = upload(root / "up", wish.number, text_of(wish.number, wish.text))
        await known.add_files(ANA, store_id, [new])
    elif any(one.file_id == f"file-{wish.number:032x}" for one in await known.files(ANA, store_id)):
        await known.drop_file(ANA, store_id, f"file-{wish.number:032x}")
    book.write(msgspec.structs.replace(wish, promised=True, store_id=store_id))


def kill_lives(root: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for name in ("folder", "state"):
        (root / name).mkdir(mode=0o700)
    for number in range(FOLDER_FILES):
        (root / "folder" / f"{number:03}.txt").write_text(text_of(number, 0))
    for life in range(kills):
        child = os.fork()
        if child == 0:
            asyncio.run(live(root, seed + life, last=False))
            os._exit(1)  # it lives until it is killed
        time.sleep(chance.uniform(0.01, LONGEST_LIFE_S))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"life {life} ended by itself with {os.waitstatus_to_exitcode(status)}")
    asyncio.run(live(root, seed, last=True))


if __name__ == "__main__":
    kill_lives(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
