"""LangChain's standard integration tests of embeddings. Run by test_langchain.py, where LangChain is installed."""

import os

from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests


class TestEmbeddings(EmbeddingsIntegrationTests):  # type: ignore[misc]  # installed where it runs, not where it is checked
    @property
    def embeddings_class(self) -> type[OpenAIEmbeddings]:
        return OpenAIEmbeddings  # type: ignore[no-any-return]  # as above

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {
            "model": "toy",
            "base_url": os.environ["BASE_URL"],
            "api_key": os.environ["API_KEY"],
            "check_embedding_ctx_length": False,  # or it sends ids of another model's tokenizer
        }
