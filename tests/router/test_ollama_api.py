"""Ollama's routes that tell of models, asked by the real ollama client."""

from dataclasses import replace
from pathlib import Path

import ollama
import pytest

from cluster.snapshot import ClusterSnapshot
from inventory.catalog import ArtifactId, Capability, HeldModel, ModelShape
from nodes.relay.contract import Address
from support.gateway import Running, access_with, cluster_of, engine_at, key_record, model_ref, running_gateway

SHAPE = ModelShape("llama", 30, 576, 49152, 8192, None, None, None, "Q4_1", 90_000_000)
ABLE: frozenset[Capability] = frozenset({"chat", "completion", "tools"})
NOWHERE = Address("127.0.0.1", 1)


def held(name: str, artifact: str = "0") -> HeldModel:
    ref = replace(model_ref(name), artifact_id=ArtifactId(artifact * 64))
    return HeldModel(ref, "gguf", 91_000_000, 7, 8192, ABLE, shape=SHAPE)


def cluster(*models: str, holds: tuple[HeldModel, ...] = ()) -> ClusterSnapshot:
    """Engines have the first model alone."""
    engine = replace(engine_at(NOWHERE, model=models[0]), memory_bytes=300, vram_bytes=200)
    snapshot = cluster_of([engine], models, sequence=2)
    (node,) = snapshot.nodes
    assert node.snapshot is not None
    node = replace(node, snapshot=replace(node.snapshot, models=holds))
    return replace(snapshot, nodes=(node,), models=tuple(replace(view, capabilities=ABLE) for view in snapshot.models))


def install(running: Running, snapshot: ClusterSnapshot, models: tuple[str, ...] | None = None) -> None:
    some = replace(key_record(), role="user", models=models)
    running.view.install_access(access_with(running.paths, [some], sequence=2))
    running.view.install_cluster(snapshot)


async def test_what_there_is_is_listed_under_names_with_a_tag(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.ollama() as client:
        snapshot = cluster("toy", "other", holds=(held("toy"), held("toy", artifact="1")))
        install(running, replace(snapshot, aliases=(("qwen3:8b", "toy"),)))
        other, alias, toy = (await client.list()).models

    assert (alias.model, other.model, toy.model) == ("qwen3:8b", "other:latest", "toy:latest")
    assert (toy.digest, toy.size, toy.modified_at and toy.modified_at.timestamp()) == ("0" * 64, 91_000_000, 7)
    assert toy.details is not None
    assert (toy.details.format, toy.details.family, toy.details.quantization_level) == ("gguf", "llama", "Q4_1")
    assert other.details is not None
    assert (other.size, other.details.family) == (None, "")  # no machine has told of it


async def test_what_runs_is_listed_with_what_it_takes(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.ollama() as client:
        install(running, cluster("toy", "other"))
        (toy,) = (await client.ps()).models

    assert (toy.name, toy.model, toy.size, toy.size_vram) == ("toy:latest", "toy:latest", 500, 200)
    assert toy.context_length == 2048


async def test_a_model_is_shown_by_either_of_its_names(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.ollama() as client:
        install(running, cluster("toy", "bare", holds=(held("toy"),)))
        toy, same, bare = [await client.show(name) for name in ("toy", "toy:latest", "bare")]
        async with running.http() as http:  # as the clients written in Go ask
            go = await http.post("/api/show", json={"model": "toy", "name": "", "system": "", "options": None})

    assert toy == same == ollama.ShowResponse(**go.json())
    assert toy.capabilities == ["completion", "tools"]
    assert toy.modelinfo == {
        "general.architecture": "llama", "llama.context_length": 2048, "llama.block_count": 30,
        "llama.embedding_length": 576, "llama.vocab_size": 49152,
    }  # fmt: skip
    assert bare.modelinfo == {"general.architecture": "unknown", "unknown.context_length": 2048}


async def test_a_key_for_some_models_is_told_of_no_other(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.ollama() as client:
        install(running, cluster("secret", "toy"), models=("toy",))
        listed, loaded = await client.list(), await client.ps()
        with pytest.raises(ollama.ResponseError) as hidden:
            await client.show("secret")
        with pytest.raises(ollama.ResponseError) as missing:
            await client.show("nix")

    assert ([model.model for model in listed.models], loaded.models) == (["toy:latest"], [])
    assert hidden.value.status_code == missing.value.status_code == 404
    assert str(hidden.value).replace("secret", "nix") == str(missing.value)


async def test_nothing_can_be_changed_and_the_refusal_says_whose_it_is(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.ollama() as client, running.http() as http:
        for change in (
            client.pull("toy"), client.push("toy"), client.create("mine", from_="toy"), client.copy("toy", "mine"),
            client.delete("toy"),
        ):  # fmt: skip
            with pytest.raises(ollama.ResponseError, match="potluck models pull") as caught:
                await change
            assert caught.value.status_code == 404
        blob = await http.post("/api/blobs/sha256:00", content=b"x")
        version = await http.get("/api/version")

    assert "managed by its operator" in blob.json()["error"]
    assert tuple(map(int, version.json()["version"].split("."))) >= (0, 6, 4)  # what VS Code asks for at least


@pytest.mark.parametrize("body", [b"{}", b'{"model": ""}', b'{"model": "toy", "delete": true}', b"[", b"x" * 20_000])
async def test_what_is_no_question_is_refused_in_ollamas_shape(tmp_path: Path, body: bytes) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as http:
        answer = await http.post("/api/show", content=body)

    assert answer.status_code == (413 if len(body) > 1000 else 400)
    assert answer.json().keys() == {"error"}
