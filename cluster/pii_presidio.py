"""Names of people, places and organisations, found by Presidio with models of the operator's own. Asks nobody.

The one module that knows Presidio: `pip install 'potluck[pii]'`. It is imported where cluster.yaml names models.
"""

import logging
from typing import TYPE_CHECKING, Any

from cluster.pii.spans import Kind, Span

if TYPE_CHECKING:
    from cluster.config_pii import NamesSection

# What spaCy's models and Presidio's recognisers call them.
_KINDS: dict[str, Kind] = {"PERSON": "person", "LOCATION": "place", "ORGANIZATION": "organisation"}


class NoPresidioError(Exception):
    """cluster.yaml names models for names, and what reads them is not installed, or cannot read one. The gateway then
    keeps no documents, and says this; the command prints it and exits 1."""


def finder_of(section: "NamesSection | None") -> "PresidioNames | None":
    """None where cluster.yaml asks for no names. Raises NoPresidioError."""
    return None if section is None else PresidioNames(dict(section.models))


class PresidioNames:
    """Implements rag.library.guarded.NameFinder. `models` are folders, by language; in texts of others no names are
    found. Loading takes seconds, and a text some 50 ms: for documents, not for chats."""

    def __init__(self, models: dict[str, str]) -> None:
        """Raises NoPresidioError."""
        try:
            self._analyzer = _analyzer(models)
        except ImportError as error:
            raise NoPresidioError(
                "`pii.names` in cluster.yaml needs Presidio, which is not installed here: pip install 'potluck[pii]', "
                f"or take `names` out ({error})"
            ) from error
        except (OSError, ValueError) as error:
            listed = ", ".join(models.values())
            raise NoPresidioError(
                f"`pii.names` in cluster.yaml: one of {listed} is no spaCy model ({error})"
            ) from error
        self._languages = tuple(models)

    def find(self, text: str, language: str) -> list[Span]:
        known = language if language in self._languages else self._languages[0] if not language else ""
        if not known:
            return []
        found = self._analyzer.analyze(text, language=known, entities=list(_KINDS))
        return [
            Span(_KINDS[one.entity_type], one.start, one.end, float(one.score), "as the model for names has it")
            for one in found
            if one.entity_type in _KINDS
        ]


def _analyzer(models: dict[str, str]) -> Any:
    """Without a way to the network: its look-up of domains would fetch a list at the first e-mail address."""
    import tldextract

    library: Any = tldextract
    library.extract = library.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    named = [{"lang_code": language, "model_name": folder} for language, folder in models.items()]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": named}).create_engine()
    registry = RecognizerRegistry(supported_languages=list(models))
    for language in models:
        registry.add_recognizer(SpacyRecognizer(supported_language=language))
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=list(models))
