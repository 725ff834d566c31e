"""Conversion of the real model: the tokens that llama.cpp makes, and MLX in four bits."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from inventory.clock import SystemClock
from inventory.store import ModelStore
from nodes.convert import Conversion, convert
from nodes.engine_envs import EngineEnvironment
from support.packaged_model import smollm2_path
from support.real_engines import Served, client_of

pytestmark = pytest.mark.e2e

TEXTS = (
    "Hello, world! It's 2026: 12345 + 67 = ?",
    "  two spaces,\ttab\nand a line\n\n\n  end ",
    "L'Étoile – naïve café 漢字 🙂 नमस्ते",
    "<|im_start|>user\nhi<|im_end|>\n",
    "def f(x):\n    return x**2  # don't",
)
TOKENIZE = """
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps([tokenizer(text)["input_ids"] for text in json.loads(sys.argv[2])]))
"""


@pytest.mark.asyncio(loop_scope="session")
async def test_the_same_text_is_the_same_tokens_as_in_llama_cpp(
    served: Served, all_formats: ModelStore, mlx: EngineEnvironment
) -> None:
    folder = all_formats.main_path(all_formats.get("smollm2", "safetensors").artifact.artifact_id)
    done = await asyncio.to_thread(
        subprocess.run,
        [mlx.python, "-I", "-c", TOKENIZE, str(folder), json.dumps(TEXTS)],
        env={"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    async with client_of(served.engine) as client:
        answers = [await client.post("/tokenize", json={"content": text, "parse_special": True}) for text in TEXTS]

    assert json.loads(done.stdout) == [answer.json()["tokens"] for answer in answers]


def test_mlx_in_four_bits_is_made_from_the_gguf_file_in_one_go(
    tmp_path: Path, engines_dir: Path, mlx: EngineEnvironment
) -> None:
    store = ModelStore(tmp_path, SystemClock())
    source = store.import_path(smollm2_path(), "smollm2").artifact
    made = convert(store, engines_dir, Conversion("smollm2", "mlx", bits=4)).artifact

    assert (made.format, made.spec.quantisation) == ("mlx", "mlx-4bit-g64")
    assert (made.spec.parameters, made.spec.attention) == (source.spec.parameters, source.spec.attention)
    assert made.spec.weight_bytes < source.spec.weight_bytes
