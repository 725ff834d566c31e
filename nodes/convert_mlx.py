"""Turn a folder of safetensors into an MLX folder, quantised where asked. A script of the mlx environment.

It imports nothing of potluck, because that environment does not have it. mlx-lm does the work, without a word on how
far it is; so the lines of stdout (DONE TOTAL, in bytes) tell the size of what it has written.
"""

import argparse
import contextlib
import sys
import threading
from pathlib import Path
from typing import TextIO

from mlx_lm import convert

GROUP_SIZE = 64
SCALE_BITS = 32  # a group's scale and bias, in 16 bits each
WEIGHT_BITS = 16
LOOK_S = 0.5


def expected_bytes(source: Path, bits: int | None) -> int:
    """Nearly all weights are quantised; what is not makes the result a little larger."""
    size = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    return size if bits is None else int(size * (bits + SCALE_BITS / GROUP_SIZE) / WEIGHT_BITS)


def report(target: Path, total: int, done: threading.Event, out: TextIO) -> None:
    while not done.wait(LOOK_S):
        written = sum(path.stat().st_size for path in target.glob("*.safetensors"))
        print(min(written, total), total, flush=True, file=out)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True, help="a folder that does not exist")
    parser.add_argument("--bits", type=int, choices=(4, 8))
    arguments = parser.parse_args(argv)
    done = threading.Event()
    total = expected_bytes(arguments.source, arguments.bits)
    looking = threading.Thread(target=report, args=(arguments.target, total, done, sys.stdout))
    looking.start()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # mlx-lm talks
            convert(
                str(arguments.source),
                str(arguments.target),
                quantize=arguments.bits is not None,
                q_bits=arguments.bits,
                q_group_size=GROUP_SIZE,
            )
    finally:
        done.set()
        looking.join()


if __name__ == "__main__":
    main(sys.argv[1:])
