"""Names, found by a model that the operator brings: what it says becomes spans, and nobody outside is asked."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.pii_presidio import NoPresidioError, PresidioNames


def test_without_presidio_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(NoPresidioError, match=r"pip install 'potluck\[pii\]'"):
        PresidioNames({"es": "/srv/models/es"})


def test_a_model_of_the_operators_finds_names_and_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is spaCy's own rule for names in a list: a trained one needs no other path through here."""
    import spacy

    model = spacy.blank("es")
    ruler: Any = model.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PER", "pattern": "Ana Peña"}, {"label": "LOC", "pattern": "Sevilla"}])
    model.to_disk(tmp_path / "es")

    def refused(*_: object) -> None:
        raise AssertionError("it asked somebody")

    monkeypatch.setattr(socket.socket, "connect", refused)
    names = PresidioNames({"es": str(tmp_path / "es")})
    text = "Ana Peña, ana@example.com, vive en Sevilla."

    found = [(span.kind, text[span.start : span.end]) for span in names.find(text, "es")]

    assert found == [("person", "Ana Peña"), ("place", "Sevilla")]
    assert names.find(text, "de") == []


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoPresidioError, match="is no spaCy model"):
        PresidioNames({"es": str(tmp_path)})
