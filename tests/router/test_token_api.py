"""Counting and showing tokens, by engines of every wire behind the real gateway."""

from pathlib import Path

from nodes.relay.contract import Address
from support.engines import FaultEngine
from support.gateway import engine_at, running_gateway, served_by

CHAT = [{"role": "user", "content": "how many words"}]


async def test_texts_and_chats_become_tokens_and_text_again(engine: FaultEngine, tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [served_by(engine)]) as running, running.http() as http:
        text = (await http.post("/tokenize", json={"model": "toy", "prompt": "one two one"})).json()
        back = await http.post("/detokenize", json={"model": "toy", "tokens": text["tokens"]})
        chat = (await http.post("/tokenize", json={"model": "toy", "messages": CHAT})).json()
        async with running.anthropic() as client:
            counted = await client.messages.count_tokens(
                model="toy", system="Be kind.", messages=[{"role": "user", "content": "how many words"}]
            )

    one, two, one_again = text["tokens"]
    assert (text["count"], text["max_model_len"], one_again == one, two == one) == (3, 2048, True, False)
    assert back.json() == {"prompt": "one two one"}
    assert chat["count"] == len(["user:", "how", "many", "words", "assistant:"])
    assert counted.input_tokens == chat["count"] + len(["system:", "Be", "kind."])


async def test_counting_waits_for_no_model_and_says_what_is_wrong(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [engine_at(None, state="starting")]) as running, running.http() as http:
        missing = await http.post("/v1/messages/count_tokens", json={"model": "toy", "messages": CHAT})
        unknown = await http.post("/tokenize", json={"model": "nobody", "prompt": "x"})
        both = await http.post("/tokenize", json={"model": "toy", "prompt": "x", "messages": CHAT})
        engine_gone = await http.post("/v1/messages/count_tokens", json={"model": "toy", "messages": CHAT, "stream": 3})

    assert (missing.status_code, missing.json()["error"]["type"]) == (503, "overloaded_error")
    assert (unknown.status_code, both.status_code, both.json()["error"]["param"]) == (404, 400, "prompt")
    assert (engine_gone.status_code, "stream" in engine_gone.json()["error"]["message"]) == (400, True)


async def test_an_engine_that_dies_while_it_counts_is_a_502_in_the_dialects_shape(tmp_path: Path) -> None:
    at = engine_at(Address("127.0.0.1", 9), kind="vllm")  # nobody listens there
    async with running_gateway(tmp_path, [at]) as running, running.http() as http:
        answer = await http.post("/v1/messages/count_tokens", json={"model": "toy", "messages": CHAT})

    assert (answer.status_code, answer.json()["type"]) == (503, "error")
