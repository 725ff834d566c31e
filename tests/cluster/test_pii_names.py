"""Names, found by a model that the operator brings: what it says becomes spans, and nobody outside is asked."""

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest

from cluster.pii_presidio import NoPresidioError, PresidioNames

INSTALLED = importlib.util.find_spec("presidio_analyzer") is not None


@pytest.mark.skipif(INSTALLED, reason="Presidio is installed here")
def test_without_presidio_the_error_says_what_to_install() -> None:
    with pytest.raises(NoPresidioError, match=r"pip install 'potluck\[pii\]'"):
        PresidioNames({"es": "/srv/models/es"})


@pytest.mark.skipif(not INSTALLED, reason="Presidio is not installed: pip install 'potluck[pii]', 384 MB")
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


@pytest.mark.skipif(not INSTALLED, reason="Presidio is not installed: pip install 'potluck[pii]', 384 MB")
def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoPresidioError, match="is no spaCy model"):
        PresidioNames({"es": str(tmp_path)})
