"""Who makes vectors for the library, and who ranks. The gateway's side is wired by the composition root."""

from collections.abc import Sequence
from typing import Protocol

from cluster.knowledge import Reader
from rag.embedding import Embedder
from rag.reranking import Reranker


class Encoders(Protocol):
    def models(self, reader: Reader) -> Sequence[str]:
        """Names of those that make vectors and that this reader may use, the best first."""
        ...

    def embedder(self, reader: Reader, model: str, background: bool) -> Embedder:
        """On the reader's account; in the background, where it makes way for requests."""
        ...

    def reranker(self, reader: Reader) -> Reranker | None:
        """On the reader's account. None: nobody ranks what was found."""
        ...
