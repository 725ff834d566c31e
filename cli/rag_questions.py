"""Questions with their answers' places, from a file, and what the gateway finds for each."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.rag_client import RagClient
from cluster.knowledge import Locator
from rag.evaluation import DEEP, NOWHERE, Asked, Expected, judged

DEEPER = 5 * DEEP  # parts of one file are hits of their own


class QuestionsError(Exception):
    """The file has no questions as `potluck rag eval` reads them. The command prints it and exits 2."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"{path}: {problem}; it should be a JSON list of objects with `question` and `file` (and `locator`, "
            "`language`), or CSV with these headings"
        )
        self.path = path


def read_questions(path: Path) -> tuple[Expected, ...]:
    """Raises QuestionsError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(text.splitlines())) if path.suffix.lower() == ".csv" else json.loads(text)
    except (OSError, ValueError, csv.Error) as error:
        raise QuestionsError(path, f"it cannot be read ({error})") from error
    if not isinstance(rows, list) or not rows:
        raise QuestionsError(path, "it has no questions")
    return tuple(_expected(path, number, row) for number, row in enumerate(rows, 1))


def ask_all(gateway: RagClient, space_id: str, expected: Sequence[Expected]) -> tuple[Asked, ...]:
    """Raises what RagClient raises."""
    return tuple(judged(one, _hits(gateway, space_id, one.question)) for one in expected)


def _hits(gateway: RagClient, space_id: str, question: str) -> list[tuple[str, Locator]]:
    found = gateway.search(space_id, question, DEEPER).data
    return [(hit.filename, Locator(hit.potluck.locator.kind, hit.potluck.locator.value)) for hit in found]


def _expected(path: Path, number: int, row: object) -> Expected:
    if not isinstance(row, Mapping):
        raise QuestionsError(path, f"entry {number} is no object")
    question, file, language = row.get("question"), row.get("file"), row.get("language") or ""
    if not isinstance(question, str) or not question.strip() or not isinstance(file, str) or not file:
        raise QuestionsError(path, f"entry {number} lacks its `question` or its `file`")
    return Expected(question, file, str(language), _locator(row.get("locator")))


def _locator(told: object) -> Locator:
    """An object with `kind` and `value`, or text: `page 3`."""
    if isinstance(told, Mapping):
        return Locator(str(told.get("kind", "")), str(told.get("value", "")))
    if isinstance(told, str) and told.strip():
        kind, _, value = told.strip().partition(" ")
        return Locator(kind, value)
    return NOWHERE
