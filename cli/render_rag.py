"""Spaces, files, hits and measures as text, and as JSON."""

from collections.abc import Sequence
from functools import partial

import msgspec
import typer

from cli.output import Listing, View, data, data_json, document_of, talk
from cli.rag_ingest import Ingested, NotAllReadError
from cli.table import instant, kib_and_up, printable, table
from rag.evaluation import Asked, Quality, qualities
from rag.migrate import Moved
from router.knowledge.objects import SearchHit, SearchPage, StoreFileObject, StoreObject, UsualObject

SHOWN = 400  # characters of a hit


def spaces_listing(spaces: Sequence[StoreObject]) -> Listing:
    names = [space.name or space.id for space in spaces]
    return Listing("SpaceList", document_of("spaces", spaces), names, partial(_spaces_table, spaces))


def _spaces_table(spaces: Sequence[StoreObject], view: View) -> str:
    headers = ("NAME", "FILES", "READING", "FAILED", "CLASS", "READERS", "SIZE", "ENCODER", "ID")
    rows = [
        (
            space.name or "-", f"{space.file_counts.completed:,}", f"{space.file_counts.in_progress:,}",
            f"{space.file_counts.failed:,}", space.potluck.data_class, _grants(space.potluck.readers),
            kib_and_up(space.usage_bytes), space.potluck.embedding_model, space.id,
            *(
                (_grants(space.potluck.owners), space.potluck.licence or "-", instant(space.created_at),
                 space.description or "-")
                if view.wide else ()
            ),
        )
        for space in spaces
    ]  # fmt: skip
    more = ("OWNERS", "LICENCE", "MADE", "DESCRIPTION") if view.wide else ()
    return table(
        (*headers, *more), rows, view.columns, ("SIZE", "ENCODER", "READERS", "CLASS"), ("LICENCE", "DESCRIPTION")
    )


def _grants(grants: Sequence[str] | None) -> str:
    return "?" if grants is None else " ".join(grants) or "nobody else"


def print_shared(space: StoreObject, as_json: bool) -> None:
    """A space's owners, readers, class, licence, and what becomes of personal data in it."""
    more = space.potluck
    if as_json:
        data_json("SpaceShared", {"id": space.id, "name": space.name, **msgspec.to_builtins(more)})
        return
    rows = [
        ("owners", _grants(more.owners)),
        ("readers", _grants(more.readers)),
        ("class", more.data_class),
        ("licensed", more.licence or "no"),
        ("personal data", more.pii or "as cluster.yaml says"),
        ("your rights", " ".join(more.rights)),
    ]
    data(table(("", space.name or space.id), rows))


def files_listing(files: Sequence[StoreFileObject]) -> Listing:
    files = sorted(files, key=lambda file: file.potluck.filename)
    names = [file.potluck.filename for file in files]
    return Listing("SpaceFileList", document_of("files", files), names, partial(_files_table, files))


def _files_table(files: Sequence[StoreFileObject], view: View) -> str:
    headers = ("FILE", "STATUS", "VERSION", "PARTS", "SIZE", "WHY")
    rows = [
        (
            file.potluck.filename, file.status, str(file.potluck.version or "-"), f"{file.potluck.chunks:,}",
            kib_and_up(file.usage_bytes), file.last_error.message if file.last_error else "",
            *((file.id, file.potluck.folder or "uploaded") if view.wide else ()),
        )
        for file in files
    ]  # fmt: skip
    more = ("ID", "FROM") if view.wide else ()
    return table((*headers, *more), rows, view.columns, ("SIZE", "PARTS"), ("WHY",))


def print_ingested(ingested: Ingested, as_json: bool) -> None:
    """Raises NotAllReadError."""
    files, failed = ingested.files, ingested.failed
    if as_json:
        document = {"space": ingested.space.id, "files": msgspec.to_builtins(files), "failed": len(failed)}
        data_json("Ingested", document | {"unseen": ingested.unseen})
    elif failed:
        data(_files_table(failed, View()))
    read = [file for file in files if file.status == "completed"]
    parts = sum(file.potluck.chunks for file in read)
    talk(f"{ingested.space.name}: {len(read):,} files are read, {parts:,} parts; `potluck rag query` asks them")
    if ingested.unseen:
        talk("something in that folder cannot be looked into: `potluck logs` says what, under folder_not_read")
    if failed:
        raise NotAllReadError(len(failed), len(files))


def print_hits(page: SearchPage, as_json: bool) -> None:
    """Exit 3 where nothing is relevant."""
    if as_json:
        data_json("SearchHits", {"query": page.search_query, "hits": msgspec.to_builtins(page.data)})
    elif page.data:
        data("\n\n".join(_hit_text(number, hit) for number, hit in enumerate(page.data, 1)))
    if not any(hit.potluck.relevant for hit in page.data):
        talk("nothing relevant was found" if page.data else "nothing was found")
        raise typer.Exit(3)


def _hit_text(number: int, hit: SearchHit) -> str:
    place = f"{hit.potluck.locator.kind} {hit.potluck.locator.value}".strip()
    where = ", ".join(part for part in (hit.filename, place, f"version {hit.potluck.version}") if part)
    relevant = "" if hit.potluck.relevant else "not relevant: "
    where = f"{where}, licensed: {hit.potluck.licence}" if hit.potluck.licence else where
    text = " ".join(part.text for part in hit.content)
    lines = (printable(line) for line in _cut(text).splitlines() if line.strip())
    return "\n".join(
        [
            f"{number}. {hit.score:.2f}  {printable(where)}  ({relevant}{hit.potluck.reason})",
            *(f"   {one}" for one in lines),
        ]
    )


def _cut(text: str) -> str:
    return (
        text if len(text) <= SHOWN else f"{text[:SHOWN].rsplit(maxsplit=1)[0]} [and {len(text) - SHOWN:,} characters]"
    )


def print_texts(file: StoreFileObject, version: int | None, texts: Sequence[str], as_json: bool) -> None:
    shown = version or file.potluck.version
    if as_json:
        data_json("FileTexts", {"file": file.potluck.filename, "id": file.id, "version": shown, "texts": list(texts)})
        return
    talk(f"{file.potluck.filename}: version {shown}, {len(texts)} parts")
    data("\n\n".join("\n".join(printable(line) for line in text.splitlines()) for text in texts))


def usual_text(space: StoreObject, usual: UsualObject) -> str:
    name = space.name or space.id
    if not usual.models and not usual.keys:
        return f"{name}: asked only where a request names it"
    told = [f"every question to {', '.join(usual.models)}"] if usual.models else []
    told += [f"every question of the key {', '.join(usual.keys)}"] if usual.keys else []
    return f"{name}: asked for {' and '.join(told)}; who may read it: {' '.join(usual.readers)}"


def quality_listing(asked: Sequence[Asked]) -> Listing:
    found = qualities(asked)
    document = {"qualities": msgspec.to_builtins(found), "questions": msgspec.to_builtins(asked)}
    return Listing(
        "RetrievalQuality", lambda: document, [one.language for one in found], partial(_quality_table, found)
    )


def _quality_table(found: Sequence[Quality], view: View) -> str:
    headers = ("LANGUAGE", "QUESTIONS", "HIT@1", "HIT@10", "NDCG@10", "IN PLACE")
    return table(headers, [
        (
            one.language or "-", f"{one.questions:,}", f"{one.first:.3f}", f"{one.found:.3f}", f"{one.ndcg:.3f}",
            "-" if one.placed is None else f"{one.placed:.3f}",
        )
        for one in found
    ], view.columns)  # fmt: skip


def moved_listing(moved: Sequence[tuple[str, Moved]]) -> Listing:
    document = {"spaces": [{"name": name, **msgspec.to_builtins(one)} for name, one in moved]}
    return Listing("SpacesMoved", lambda: document, [name for name, _ in moved], partial(_moved_table, moved))


def _moved_table(moved: Sequence[tuple[str, Moved]], view: View) -> str:
    headers = ("SPACE", "DOCUMENTS", "VERSIONS", "PARTS", "WRITTEN", "COMPARED", "OLD PLACE")
    return table(headers, [
        (
            name, f"{one.documents:,}", f"{one.versions:,}", f"{one.chunks:,}", f"{one.written:,}",
            f"{one.asked:,} read back", "dropped" if one.dropped else "kept",
        )
        for name, one in moved
    ], view.columns)  # fmt: skip
