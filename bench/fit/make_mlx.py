"""Turn a folder of safetensors into an MLX folder, partly quantised where asked. A script of the mlx environment.

It imports nothing of potluck, because that environment does not have it. On a CPU, MLX multiplies quantised matrices
so slowly (SmolLM2 at 8 bits: two seconds a token) that no context could be filled. So only two kinds are quantised:
embeddings, of which a token looks up one row, and experts, of which a token uses few, and which MLX's CPU build cannot
multiply otherwise: "[GatherMM::eval] Currently only supports float32".
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from mlx_lm import convert

GROUP_SIZE = 64


def is_quantised(path: str, module: Any) -> bool:
    return path.endswith("embed_tokens") or ".switch_mlp." in path


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True, help="a folder that does not exist")
    parser.add_argument("--bits", type=int, choices=(4, 8))
    arguments = parser.parse_args(argv)
    convert(
        str(arguments.source),
        str(arguments.target),
        quantize=arguments.bits is not None,
        q_bits=arguments.bits,
        q_group_size=GROUP_SIZE,
        quant_predicate=is_quantised,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
