"""What the fault engine reads and does not answer in words: vectors and scores, the same for the same text."""

import base64
import hashlib
import json
import math
from array import array
from dataclasses import dataclass
from typing import Any

SIZE = 8  # of a vector
PATHS = ("/v1/embeddings", "/v1/rerank")


def vector_of(text: object, size: int = SIZE) -> list[float]:
    """Of length 1. Token ids have a vector as well."""
    digest = hashlib.sha256(json.dumps(text).encode()).digest()
    raw = [byte - 127.5 for byte in digest[:size]]
    length = math.sqrt(sum(one * one for one in raw))
    return array("f", [one / length for one in raw]).tolist()


def score_of(query: str, document: str) -> float:
    """More for a document that has more of the query's words."""
    words = set(query.lower().split())
    return len(words & set(document.lower().split())) / max(1, len(words))


@dataclass
class Reading:
    """One request, as far as every engine takes it. Raises KeyError or TypeError for a body that is none."""

    path: str
    model: str
    body: dict[str, Any]

    @property
    def inputs(self) -> list[Any]:
        if self.path == "/v1/rerank":
            return [f"{self.body['query']} {document}" for document in self.body["documents"]]
        given = self.body["input"]
        return [given] if isinstance(given, str) or isinstance(given[0], int) else list(given)

    @property
    def has_token_ids(self) -> bool:
        return self.path != "/v1/rerank" and any(not isinstance(one, str) for one in self.inputs)

    def words(self) -> list[int]:
        """Of each input: a token a word, or an id."""
        return [len(one.split()) if isinstance(one, str) else len(one) for one in self.inputs]

    def answer(self, dialect: str, floats_only: bool) -> bytes:
        count = sum(self.words())
        usage = {"prompt_tokens": count, "total_tokens": count}
        if dialect == "vllm":
            usage["completion_tokens"] = 0
        if self.path == "/v1/rerank":
            query = self.body["query"]
            scores = [(score_of(query, document), index) for index, document in enumerate(self.body["documents"])]
            results = [{"index": index, "relevance_score": score} for score, index in scores]
            return json.dumps({"model": self.model, "object": "list", "usage": usage, "results": results}).encode()
        packed = self.body.get("encoding_format") == "base64" and not floats_only
        vectors = [vector_of(one, self.body.get("dimensions") or SIZE) for one in self.inputs]
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(vectors)
        ]
        return json.dumps({"object": "list", "data": data, "model": self.model, "usage": usage}).encode()


def _packed(vector: list[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()
