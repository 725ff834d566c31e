"""Conversion of the real model: the tokens that llama.cpp makes, and MLX in four bits."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import httpx2
import pytest

from inventory.clock import SystemClock
from inventory.store import ModelStore
from nodes.convert import Conversion, convert
from nodes.engine_envs import EngineEnvironment
from nodes.engines.llamacpp import SERVER_SCRIPT
from support.packaged_model import smollm2_path
from support.real_engines import installed_engine

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


@pytest.fixture
def llamacpp(engines_dir: Path) -> Iterator[str]:
    """The address of a llama.cpp that serves the model as it is packaged."""
    python = installed_engine("llamacpp", engines_dir).python
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--model", str(smollm2_path()), "--alias", "x", "--port", str(port), "--slots", "1", "--context", "512"]
    with subprocess.Popen([python, "-I", SERVER_SCRIPT, *words], stderr=subprocess.DEVNULL) as process:
        try:
            yield _once_it_answers(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def _once_it_answers(address: str) -> str:
    end = monotonic() + 60
    while monotonic() < end:
        try:
            if httpx2.get(f"{address}/health").status_code == 200:
                return address
        except httpx2.TransportError:
            sleep(0.05)
    raise AssertionError("llama.cpp did not start within 60 s")


def test_the_same_text_is_the_same_tokens_as_in_llama_cpp(
    llamacpp: str, all_formats: ModelStore, mlx: EngineEnvironment
) -> None:
    folder = all_formats.main_path(all_formats.get("smollm2", "safetensors").artifact.artifact_id)
    done = subprocess.run(
        [mlx.python, "-I", "-c", TOKENIZE, str(folder), json.dumps(TEXTS)],
        env={"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = [
        httpx2.post(f"{llamacpp}/tokenize", json={"content": text, "parse_special": True}).json()["tokens"]
        for text in TEXTS
    ]

    assert json.loads(done.stdout) == theirs


def test_mlx_in_four_bits_is_made_from_the_gguf_file_in_one_go(
    tmp_path: Path, engines_dir: Path, mlx: EngineEnvironment
) -> None:
    store = ModelStore(tmp_path, SystemClock())
    source = store.import_path(smollm2_path(), "smollm2").artifact
    made = convert(store, engines_dir, Conversion("smollm2", "mlx", bits=4)).artifact

    assert (made.format, made.spec.quantisation) == ("mlx", "mlx-4bit-g64")
    assert (made.spec.parameters, made.spec.attention) == (source.spec.parameters, source.spec.attention)
    assert made.spec.weight_bytes < source.spec.weight_bytes
