"""Files of any kind that clients give to the gateway: given back as they came, to their own, until they are deleted."""

from pathlib import Path
from typing import Any

import openai
import pytest

from router.batches.media_types import media_type_of
from router.batches.store import BatchStore
from support.documents import keeping_documents, settled, uploaded
from support.gateway import access_with, key_record, running_gateway

OTHER_KEY = "pl_other_" + "o" * 43
BYTES = bytes(range(256)) * 3


@pytest.mark.parametrize("purpose", ["assistants", "user_data"])
async def test_any_bytes_are_kept_and_given_back_as_they_came(tmp_path: Path, purpose: Any) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai() as client:
        file = await client.files.create(file=("Plan für März.pdf", BYTES), purpose=purpose)
        back = await client.files.with_raw_response.content(file.id)
        listed = [one.id async for one in client.files.list(purpose=purpose)]
        others = [one.id async for one in client.files.list(purpose="batch")]

    assert (file.bytes, file.filename, file.purpose, file.expires_at) == (
        len(BYTES),
        "Plan für März.pdf",
        purpose,
        None,
    )
    assert back.content == BYTES
    assert back.headers["content-type"] == "application/pdf"
    assert back.headers["content-disposition"] == "attachment; filename*=utf-8''Plan%20f%C3%BCr%20M%C3%A4rz.pdf"
    assert back.headers["x-content-type-options"] == "nosniff"
    assert (listed, others) == ([file.id], [])


async def test_nothing_of_a_page_runs_in_the_browser_that_opens_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai() as client:
        file = await client.files.create(file=('../a"b.html', b"<script>alert(1)</script>"), purpose="user_data")
        headers = (await client.files.with_raw_response.content(file.id)).headers

    assert headers["content-disposition"].startswith("attachment; ")
    assert (headers["x-content-type-options"], headers["content-security-policy"]) == ("nosniff", "sandbox")
    assert "/" not in file.filename


async def test_a_document_is_its_keys_own_and_no_batch(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai() as client:
        running.view.install_access(access_with(running.paths, (key_record(), key_record(OTHER_KEY)), sequence=2))
        (file_id,) = await uploaded(client, "mine")
        stranger = client.with_options(api_key=OTHER_KEY)
        for asking in (
            stranger.files.retrieve(file_id),
            stranger.files.content(file_id),
            stranger.files.delete(file_id),
        ):
            with pytest.raises(openai.NotFoundError):
                await asking
        with pytest.raises(openai.BadRequestError, match="purpose"):
            await client.batches.create(input_file_id=file_id, endpoint="/v1/embeddings", completion_window="24h")
        assert (await client.files.retrieve(file_id)).id == file_id


async def test_a_file_whose_time_is_over_leaves_the_stores_as_well(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        short = {"anchor": "created_at", "seconds": 3600}
        file = await client.files.create(file=("a.md", b"The gate is open."), purpose="assistants", expires_after=short)  # type: ignore[arg-type]
        (stays,) = await uploaded(client, "The door is shut.")
        store = await client.vector_stores.create(file_ids=[file.id, stays])
        await settled(client, store.id)
        batches = running.gateway.batches
        assert batches is not None
        rows = BatchStore(running.paths)
        (expired,) = rows.expired(file.created_at + 3600)
        assert rows.expired(file.created_at + 3599) == []
        rows.close()
        await batches.runner.drop(expired)
        left = [one.id async for one in client.vector_stores.files.list(store.id)]
        with pytest.raises(openai.NotFoundError):
            await client.files.content(file.id)

    assert file.expires_at == file.created_at + 3600
    assert expired.file_id == file.id
    assert left == [stays]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.PDF", "application/pdf"), ("notes.md", "text/markdown"), ("a.eml", "message/rfc822"),
        (".md", "text/markdown"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.ics", "text/calendar"), ("a.html", "text/html"), ("a", "application/octet-stream"),
        ("a.tar.gz", "application/octet-stream"), ("a.nosuch", "application/octet-stream"),
    ],
)  # fmt: skip
def test_a_name_says_what_a_file_is(name: str, kind: str) -> None:
    assert media_type_of(name) == kind
