"""A sentence encoder by the arrays of its .npz file: their headers in, a spec out. Pure, and without numpy.

An array of Python objects is a pickle, which can run code when it is loaded: only arrays of plain numbers are taken.
Known is one architecture, by the names and shapes of its arrays.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from inventory.catalog import ModelSpec
from inventory.model_error import ModelFileError

WEIGHTS, TOKENIZER = "weights.npz", "sp.model"
NPZ_SPEC_VERSION = 1  # raise it when a change here gives another answer for the same file: the store then reads again
HEAD_BYTES = 10  # of an array: magic, version, and the length of the header that follows
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    r"\{'descr': '[<|][fiu](?P<size>[1248])', 'fortran_order': False,"
    r" 'shape': \((?P<shape>|\d{1,9},|\d{1,9}(?:, \d{1,9}){1,3})\), \} *\n"
)
_CHUNKS = 17  # of the embedding: its tables are called q1 to q17


class NpzError(ModelFileError):
    """A file that is no encoder that potluck knows."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason, "npz file")


@dataclass(frozen=True, slots=True)
class NpzArray:
    item_bytes: int
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.elements * self.item_bytes


def header_bytes(head: bytes) -> int:
    """How long an array's header is, by its first HEAD_BYTES; 0 where that is no array of the one version in use."""
    return int.from_bytes(head[len(_MAGIC) :], "little") if head[: len(_MAGIC)] == _MAGIC else 0


def parse_array(header: bytes) -> NpzArray | None:
    """None where it is not an array of plain numbers, row by row."""
    found = _HEADER.fullmatch(header.decode("latin-1"))
    if found is None:
        return None
    return NpzArray(int(found["size"]), tuple(map(int, re.findall(r"\d+", found["shape"]))))


def spec_of_arrays(shown_as: str, arrays: Mapping[str, NpzArray], tokenizer_hash: str) -> ModelSpec:
    """Raises NpzError."""
    tables = [arrays[name] for name in (f"q{number}" for number in range(1, _CHUNKS + 1)) if name in arrays]
    output = arrays.get("d3")
    shapes = {table.shape for table in tables}
    if len(tables) < _CHUNKS or output is None or {len(output.shape), *map(len, shapes)} != {2} or len(shapes) > 1:
        raise NpzError(shown_as, "its arrays are not those of usem3, the one encoder that potluck knows")
    return ModelSpec(
        architecture="usem3",
        layers=2,  # convolutions, one after the other
        embedding_size=output.shape[1],
        vocabulary_size=sum(table.shape[0] for table in tables),
        context_length=None,  # it sums what it finds over a text of any length
        attention=None,
        recurrent=None,
        experts=None,
        quantisation="U8",
        weight_bytes=sum(array.size_bytes for array in arrays.values()),
        display_name=None,
        parameters=sum(array.elements for array in arrays.values()),
        tied_embeddings=None,
        licence=None,
        chat_template=None,
        template_hash=None,
        tokenizer_hash=tokenizer_hash,
        capabilities=frozenset({"embed"}),
    )
