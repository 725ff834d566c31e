"""LangChain's standard integration tests of a chat model. Run by test_langchain.py, where LangChain is installed."""

import json
import os
from typing import Any
from urllib.request import Request, urlopen

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

Turn = dict[str, Any]


def call(name: str, **arguments: object) -> Turn:
    return {"tool_calls": [(name, arguments)]}


MAGIC = call("magic_function", input=3)
MAGIC_WITHOUT = call("magic_function_no_args")
CATS = {"setup": "Why do cats purr?", "punchline": "They forgot the words."}
JOKE: Turn = {"content": json.dumps(CATS)}
SCRIPTS: dict[str, list[Turn]] = {
    "test_tool_calling": [MAGIC] * 2,
    "test_tool_calling_async": [MAGIC] * 2,
    "test_tool_choice": [MAGIC] * 2,
    "test_tool_calling_with_no_arguments": [MAGIC_WITHOUT] * 2,
    "test_bind_runnables_as_tools": [call("greeting_generator", answer_style="pirate")],
    "test_agent_loop": [call("get_weather", location="San Francisco, CA"), {"content": "It is sunny."}],
    "test_unicode_tool_call_integration": [
        call("unicode_customer", customer_name=name, description="A company.")
        for name in ("你好啊集团", "こんにちは株式会社")
    ],
    "test_structured_output": [JOKE] * 2,
    "test_structured_output_async": [JOKE] * 2,
    "test_structured_output_optional_param": [JOKE] * 4,
    "test_structured_output_pydantic_2_v1": [call("Joke", **CATS)] * 2 + [JOKE] * 2,
    "test_json_mode": [JOKE] * 4,
}


class TestPotluck(ChatModelIntegrationTests):  # type: ignore[misc]  # installed where it runs, not where it is checked
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        chosen: type[BaseChatModel] = ChatOpenAI
        return chosen

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {
            "model": "toy",
            "base_url": os.environ["BASE_URL"],
            "api_key": os.environ["API_KEY"],
            "stream_usage": True,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @pytest.fixture(autouse=True)
    def _the_models_side(self, request: pytest.FixtureRequest) -> None:
        """What it will say; in its own words where the test takes any."""
        turns = SCRIPTS.get(request.node.originalname, [])
        with urlopen(Request(f"{os.environ['ENGINE_URL']}/script", data=json.dumps(turns).encode()), timeout=10):
            pass
