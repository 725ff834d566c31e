"""Personal data in documents before they are kept: counted, blanked, renamed or refused, in the right places."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.knowledge import Ask, Chunking, NewStore, Reader, StoreChange, StoreFile
from cluster.pii.policy import NO_PII, PiiRules, Plan, Policy, plan_of
from cluster.pii.pseudonyms import key_of, pseudonym
from cluster.pii.scan import scan
from cluster.pii_vault import PseudonymVault, UnknownPseudonymError
from inventory.clock import SystemClock
from rag.chunking import Block, cut
from rag.library.guarded import GuardedParsing, Privacy
from rag.library.opened import OpenLibrary
from rag.library.personal import kept, laid_out
from rag.library.reading import Parsed, Problem
from rag.values import NewChunk
from support.libraries import ANA, ParsingHere, WordEncoders, opened, reading, settled, upload
from support.pii_scores import labelled

MAIL, IBAN = "ana@example.com", "ES91 2100 0418 4502 0005 1332"
TEXT = f"# Ana\n\nHer address is {MAIL} and her account is {IBAN}.\n"


def key(tenant: str) -> bytes:
    return key_of(b"pepper", tenant)


@dataclass(frozen=True)
class Guarded:
    library: OpenLibrary
    vault: PseudonymVault
    root: Path

    async def read(
        self, text: str, space: Policy | None = None, reader: Reader = ANA
    ) -> tuple[StoreFile, tuple[str, ...]]:
        """The file as it stands, and what can be read of it."""
        made = await self.library.knowledge.create_store(reader, NewStore("notes", pii=space))
        await self.library.knowledge.add_files(reader, made.store_id, [upload(self.root / "up", 1, text)])
        (file,) = await settled(self.library, made.store_id, reader)
        if file.status != "completed":
            return file, ()
        return file, await self.library.knowledge.texts(reader, made.store_id, file.file_id)


@asynccontextmanager
async def guarded(root: Path, rules: PiiRules = NO_PII) -> AsyncIterator[Guarded]:
    vault = PseudonymVault(root / "pseudonyms.db", key, SystemClock())
    parsing = GuardedParsing(ParsingHere(), Privacy(lambda: rules, key, vault))
    async with opened(root, WordEncoders(), parsing=parsing) as library, reading(library):
        yield Guarded(library, vault, root)


async def test_where_nobody_says_anything_documents_stay_as_they_are(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        _, texts = await here.read(TEXT)

    assert MAIL in texts[0]
    assert not (tmp_path / "pseudonyms.db").exists()


async def test_what_is_tagged_is_counted_and_can_be_filtered_by(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        file, texts = await here.read(TEXT, "tag")
        wanted = {"type": "gte", "key": "pii_email", "value": 1}
        found = await here.library.knowledge.search(ANA, Ask("address account", (file.store_id,), filter=wanted))

    assert MAIL in texts[0]
    assert found.chunks[0].attributes["pii_email"] == 1
    assert found.chunks[0].attributes["pii_iban"] == 1


async def test_what_is_blanked_is_in_no_file_of_the_library(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        file, texts = await here.read(TEXT, "redact")
        found = await here.library.knowledge.search(ANA, Ask("address account", (file.store_id,)))
        (chunk,) = found.chunks

    assert texts == ("# Ana\n\nHer address is [EMAIL] and her account is [IBAN].",)
    assert (chunk.start, chunk.end, chunk.text) == (0, len(texts[0]), texts[0])
    for path in tmp_path.glob("*.db*"):
        assert MAIL.encode() not in path.read_bytes(), path
        assert IBAN.encode() not in path.read_bytes(), path


async def test_a_pseudonym_is_kept_sealed_and_leads_back(tmp_path: Path) -> None:
    token = pseudonym(key(ANA.tenant), "email", MAIL)
    async with guarded(tmp_path) as here:
        _, texts = await here.read(TEXT, "pseudonymise")

    assert token in texts[0]
    assert here.vault.reveal(ANA.tenant, token) == ("email", MAIL)
    assert (tmp_path / "pseudonyms.db").stat().st_mode & 0o777 == 0o600
    for path in tmp_path.glob("*.db*"):
        assert MAIL.encode() not in path.read_bytes(), path
    for tenant, other in (("clinic", token), (ANA.tenant, "[EMAIL_0000000000000000]"), (ANA.tenant, "x")):
        with pytest.raises(UnknownPseudonymError):
            here.vault.reveal(tenant, other)


async def test_what_is_refused_fails_with_kinds_and_counts_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    async with guarded(tmp_path, PiiRules("off", (("iban", "refuse"),))) as here:
        file, _ = await here.read(TEXT)

    assert (file.status, file.problem_code) == ("failed", "invalid_file")
    assert file.problem is not None
    assert "iban=1 (iban=refuse (cluster.yaml))" in file.problem
    assert IBAN not in file.problem


async def test_the_strictest_of_cluster_key_and_space_applies(tmp_path: Path) -> None:
    async with guarded(tmp_path, PiiRules("off", (("iban", "pseudonymise"),))) as here:
        _, texts = await here.read(TEXT, "tag", replace(ANA, pii="redact"))

    assert "[EMAIL]" in texts[0]
    assert pseudonym(key(ANA.tenant), "iban", IBAN) in texts[0]


async def test_a_space_that_becomes_stricter_reads_the_same_file_anew_when_it_is_added_again(tmp_path: Path) -> None:
    async with guarded(tmp_path) as here:
        knowledge = here.library.knowledge
        file, texts = await here.read(TEXT)
        store = await knowledge.store(ANA, file.store_id)
        await knowledge.change_store(ANA, store.store_id, StoreChange(pii="redact"))
        await knowledge.add_files(ANA, store.store_id, [upload(tmp_path / "up", 1, TEXT)])
        (again,) = await settled(here.library, store.store_id)
        rewritten = await knowledge.texts(ANA, store.store_id, again.file_id)

    assert MAIL in texts[0]
    assert MAIL not in rewritten[0]
    assert again.version == 2


def test_a_row_that_is_copied_to_another_pseudonym_opens_nothing(tmp_path: Path) -> None:
    vault = PseudonymVault(tmp_path / "pseudonyms.db", key, SystemClock())
    one, other = pseudonym(key("school"), "email", "a@example.com"), pseudonym(key("school"), "email", "b@example.com")
    vault.keep("school", {one: "a@example.com", other: "b@example.com"})
    with sqlite3.connect(tmp_path / "pseudonyms.db") as connection:
        connection.execute("UPDATE pseudonyms SET sealed = (SELECT sealed FROM pseudonyms WHERE token = ?)", (one,))
    connection.close()

    assert vault.reveal("school", one) == ("email", "a@example.com")
    with pytest.raises(UnknownPseudonymError):
        vault.reveal("school", other)


def plan(policy: Policy) -> Plan:
    made = plan_of(PiiRules(policy))
    assert made is not None
    return made


TEXTS = [one.text for one in labelled("tuning")]


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8), st.integers(20, 80), st.integers(0, 30))
def test_every_chunk_is_a_part_of_the_stored_text_where_it_says(texts: list[str], most: int, overlap: int) -> None:
    parsed = _parsed(cut([Block(text) for text in texts], Chunking(most, overlap)).chunks)

    made = kept(parsed, plan("redact"), scan, lambda kind, value: "")

    assert not isinstance(made, Problem)
    whole = laid_out(made.chunks)
    for chunk in made.chunks:
        assert whole[chunk.start : chunk.end] == chunk.text
    assert scan(laid_out(parsed.chunks)) == () or sum(map(bool, made.attributes)) > 0
    for span in scan(laid_out(parsed.chunks)):
        value = laid_out(parsed.chunks)[span.start : span.end]
        assert all(value not in chunk.text for chunk in made.chunks)


def test_a_value_over_two_chunks_is_in_the_first_only() -> None:
    text = f"Pay to {IBAN} today."
    at = text.index("0418")
    chunks = (NewChunk(text[: at - 1], 0, at - 1), NewChunk(text[at:], at, len(text)))

    made = kept(_parsed(chunks), plan("redact"), scan, lambda kind, value: "")

    assert not isinstance(made, Problem)
    assert [chunk.text for chunk in made.chunks] == ["Pay to [IBAN]", " today."]
    assert [(chunk.start, chunk.end) for chunk in made.chunks] == [(0, 13), (13, 20)]


def test_titles_headings_and_what_a_file_says_of_itself_are_looked_at_too() -> None:
    chunk = NewChunk("Hello.", 0, 6, heading=f"Mail of {MAIL}")
    parsed = Parsed(f"From {MAIL}", "text/plain", "en", {"from": MAIL, "pages": 2.0}, (chunk,))

    made = kept(parsed, plan("redact"), scan, lambda kind, value: "")

    assert not isinstance(made, Problem)
    assert (made.title, made.attributes["from"], made.attributes["pages"]) == ("From [EMAIL]", "[EMAIL]", 2.0)
    assert made.chunks[0].heading == "Mail of [EMAIL]"


def _parsed(chunks: Sequence[NewChunk]) -> Parsed:
    return Parsed("", "text/plain", "es", {}, tuple(chunks))
