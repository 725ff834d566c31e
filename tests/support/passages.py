"""What a search in documents found, made up for tests of those who retell it."""

from cluster.knowledge import Found, FoundChunk, FoundPassage, Locator

STORE = "vs_" + "a" * 32


def chunk(text: str, name: str = "handbook.pdf", page: int = 3, score: float = 0.9) -> FoundChunk:
    where = Locator("page", str(page))
    attributes = {"language": "en"}
    return FoundChunk("c-1", STORE, f"file-{name}", name, 2, score, text, where, 0, 9, attributes, True, "cosine 0.90")


def passage(
    number: int, text: str = "Bins go out on Tuesday.", name: str = "handbook.pdf", page: int = 3
) -> FoundPassage:
    held = chunk(text, name, page)
    return FoundPassage(number, STORE, held.file_id, name, 2, f"{name}, page {page}", (held,))


def found(*passages: FoundPassage) -> Found:
    context = "\n\n".join(f"[{one.number}] {one.source}\n```\n{one.chunks[0].text}\n```" for one in passages)
    return Found(tuple(chunk for one in passages for chunk in one.chunks), passages, context, "cosine 0.90")
