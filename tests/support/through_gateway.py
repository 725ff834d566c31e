"""A real engine behind the real gateway, asked in every dialect."""

from pathlib import Path

from nodes.snapshot import EngineSnapshot
from support.gateway import running_gateway
from support.spoken import DIALECTS, ask

QUESTION = "Tell me about the sea and the people who live beside it."
LETTER = "e"  # comes soon in any English answer


async def speak_every_dialect(root: Path, engine: EngineSnapshot) -> None:
    """Words come, a stop text ends them, tokens are counted as the engine counts them."""
    model = engine.model.name
    async with running_gateway(root, [engine], models=(model,), silence_s=(120.0, 60.0)) as running:
        async with running.http() as http:
            http.timeout = 120
            for name, dialect in DIALECTS.items():
                for streamed in (False, True):
                    said = await ask(http, dialect, model, "plain", streamed, limit=4, prompt=QUESTION)
                    assert (said.status, said.error, said.proper) == (200, None, True), (name, streamed, said)
                    # A prompt that no template dressed may be the end of a text to an instructed model.
                    assert said.text.strip() or name == "completions", (name, streamed, said)
                    assert said.output_tokens, (name, streamed, said)
                    if streamed and "stop" in dialect.cases:
                        said = await ask(http, dialect, model, "stop", streamed, 16, QUESTION, LETTER)
                        assert (said.status, said.end, LETTER in said.text) == (200, "stop", False), (name, said)
            asked = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
            counted = (await http.post("/tokenize", json=asked)).json()
            answer = (await http.post("/v1/chat/completions", json={**asked, "max_tokens": 1})).json()
            text = await http.post("/detokenize", json={"model": model, "tokens": counted["tokens"]})
        await running.until_idle(30)
        assert {record.outcome for record in running.finished()} == {"ok"}
    assert counted["count"] == len(counted["tokens"]) == answer["usage"]["prompt_tokens"]
    assert QUESTION in text.json()["prompt"]
