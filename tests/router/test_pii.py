"""Personal data in prompts and answers: what engines read and say, and what callers send and get, in every dialect."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.pii.policy import PiiRules, Policy
from cluster.pii.pseudonyms import key_of, pseudonym
from cluster.pii.spans import Kind
from nodes.relay.contract import Address
from support.asked_documents import BINS, chat, with_documents
from support.engines import FaultEngine, running_fault_engine
from support.gateway import MODEL, PEPPER, Running, access_with, cluster_of, engine_at, key_record, running_gateway
from support.spoken import DIALECTS, ask

MAIL, IBAN = "ana@example.com", "ES91 2100 0418 4502 0005 1332"
PROMPT = f"Write to {MAIL} about {IBAN}."


def token(kind: Kind, value: str) -> str:
    return pseudonym(key_of(PEPPER.encode(), "home"), kind, value)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEngine]:
    with running_fault_engine(tmp_path_factory.mktemp("engine"), "llamacpp") as engine:
        yield engine


@asynccontextmanager
async def guarded_gateway(
    engine: FaultEngine, root: Path, rules: PiiRules, key_says: Policy | None = None
) -> AsyncIterator[Running]:
    at = engine_at(Address("127.0.0.1", engine.port), kind=engine.kind)
    async with running_gateway(root, [at]) as running:
        running.view.install_access(access_with(running.paths, [replace(key_record(), pii=key_says)], sequence=2))
        running.view.install_cluster(replace(cluster_of([at], sequence=2), pii=rules))
        yield running


def read_in(engine: FaultEngine) -> str:
    return json.dumps(engine.asked()[-1])


WRITING = [name for name in DIALECTS if name not in ("completions", "ollama_generate")]  # those that follow a script


@pytest.mark.parametrize("dialect", WRITING)
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_engine_reads_pseudonyms_and_the_caller_gets_his_values_back(
    engine: FaultEngine, tmp_path: Path, dialect: str, streamed: bool
) -> None:
    mail, iban = token("email", MAIL), token("iban", IBAN)
    async with guarded_gateway(engine, tmp_path, PiiRules("pseudonymise")) as running, running.http() as http:
        engine.script({"content": f"I wrote to {mail}, of {iban}. Not [EMAIL_0000000000000000]."})
        said = await ask(http, DIALECTS[dialect], MODEL, "plain", streamed, prompt=PROMPT)

    assert said.text == f"I wrote to {MAIL}, of {IBAN}. Not [EMAIL_0000000000000000]."
    assert mail in read_in(engine)
    assert iban in read_in(engine)
    assert MAIL not in read_in(engine)
    assert IBAN not in read_in(engine)


@pytest.mark.parametrize("dialect", WRITING)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_an_engine_says_itself_is_blanked_where_that_is_the_policy(
    engine: FaultEngine, tmp_path: Path, dialect: str, streamed: bool
) -> None:
    async with guarded_gateway(engine, tmp_path, PiiRules("redact")) as running, running.http() as http:
        engine.script({"content": "His account is ES91 2100 0418 4502 0005 1332 and his mail is luis@example.org."})
        said = await ask(http, DIALECTS[dialect], MODEL, "plain", streamed, prompt=PROMPT)

    assert said.text == "His account is [IBAN] and his mail is [EMAIL]."
    assert "Write to [EMAIL] about [IBAN]." in read_in(engine)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_refused_is_an_error_of_the_dialect_that_names_kinds_and_counts_only(
    engine: FaultEngine, tmp_path: Path, dialect: str, streamed: bool
) -> None:
    rules = PiiRules("tag", (("iban", "refuse"),))
    async with guarded_gateway(engine, tmp_path, rules) as running, running.http() as http:
        speaks = DIALECTS[dialect]
        answer = await http.post(speaks.path, json=speaks.body(MODEL, "plain", PROMPT, 40, streamed))
        (record,) = running.finished()

    assert answer.status_code == 400
    assert speaks.error(answer.json())
    assert answer.headers["x-potluck-pii"] == "iban=1,email=1"
    assert "iban=1 (iban=refuse (cluster.yaml))" in answer.text
    assert MAIL not in answer.text
    assert IBAN not in answer.text
    assert (record.status, record.error_code) == (400, "personal_data")


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_only_tagged_goes_on_as_it_is_and_is_told_and_kept(
    engine: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    async with guarded_gateway(engine, tmp_path, PiiRules(), "tag") as running, running.http() as http:
        engine.script({"content": f"{MAIL}."})
        answer = await http.post("/v1/chat/completions", json=_chat(PROMPT, streamed))
        await running.until_idle()
        (record,) = running.finished()

    assert answer.headers["x-potluck-pii"] == "iban=1,email=1"
    assert answer.headers["x-potluck-pii-policy"] == "iban=tag (the key), email=tag (the key)"
    assert record.pii == "iban=1,email=1"
    assert MAIL in answer.text
    assert PROMPT in read_in(engine)


async def test_the_stricter_of_key_and_cluster_applies_to_each_kind(engine: FaultEngine, tmp_path: Path) -> None:
    rules = PiiRules("off", (("iban", "pseudonymise"), ("email", "tag")))
    async with guarded_gateway(engine, tmp_path, rules, "redact") as running, running.http() as http:
        engine.script({"content": "Done."})
        answer = await http.post("/v1/chat/completions", json=_chat(PROMPT))

    assert answer.headers["x-potluck-pii-policy"] == "iban=pseudonymise (cluster.yaml), email=redact (the key)"
    assert f"Write to [EMAIL] about {token('iban', IBAN)}." in read_in(engine)


async def test_whoever_asks_for_nothing_pays_for_nothing(engine: FaultEngine, tmp_path: Path) -> None:
    async with guarded_gateway(engine, tmp_path, PiiRules()) as running, running.http() as http:
        engine.script({"content": f"To {MAIL}."})
        answer = await http.post("/v1/chat/completions", json=_chat(PROMPT))

    assert running.view.pii.get(None) is None
    assert "x-potluck-pii" not in answer.headers
    assert MAIL in answer.text


@pytest.mark.parametrize("streamed", [False, True])
async def test_arguments_of_a_tool_are_put_back_as_json_wants_them(
    engine: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    secret = "ab\\c9Zd!"
    mark = token("secret", secret)
    async with guarded_gateway(engine, tmp_path, PiiRules("pseudonymise")) as running:
        client = running.openai()
        engine.script({"tool_calls": [("login", {"word": mark, "note": "x"})]})
        call: Any = [
            {"id": "c1", "type": "function", "function": {"name": "login", "arguments": '{"mail":"ana@example.com"}'}}
        ]
        asked: Any = [
            {"role": "user", "content": f"https://u:{secret}@host.example/"},
            {"role": "assistant", "content": None, "tool_calls": call},
            {"role": "tool", "tool_call_id": "c1", "content": "no"},
        ]
        tools: Any = [{"type": "function", "function": {"name": "login", "parameters": {"type": "object"}}}]
        if streamed:
            arguments = ""
            async for chunk in await client.chat.completions.create(
                model=MODEL, messages=asked, tools=tools, stream=True
            ):
                for piece in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
                    arguments += (piece.function and piece.function.arguments) or ""
        else:
            answer = await client.chat.completions.create(model=MODEL, messages=asked, tools=tools)
            arguments = answer.choices[0].message.tool_calls[0].function.arguments  # type: ignore[index, union-attr]
        await client.close()

    assert json.loads(arguments) == {"word": secret, "note": "x"}
    assert MAIL not in read_in(engine)


async def test_texts_to_embed_and_to_rank_are_looked_through_and_token_ids_refused(
    engine: FaultEngine, tmp_path: Path
) -> None:
    everything = frozenset({"chat", "completion", "embed", "rerank"})
    at = engine_at(Address("127.0.0.1", engine.port), kind=engine.kind)
    async with running_gateway(tmp_path, [at]) as running, running.http() as http:
        snapshot = cluster_of([at], sequence=2, abilities={MODEL: everything})  # type: ignore[dict-item]
        running.view.install_cluster(replace(snapshot, pii=PiiRules("refuse")))
        embedded = await http.post("/v1/embeddings", json={"model": MODEL, "input": ["hello", MAIL]})
        ranked = await http.post("/v1/rerank", json={"model": MODEL, "query": "q", "documents": [MAIL, "x"]})
        ids = await http.post("/v1/embeddings", json={"model": MODEL, "input": [1, 2, 3]})
        prompt_ids = await http.post("/v1/completions", json={"model": MODEL, "prompt": [1, 2, 3]})
        clean = await http.post("/v1/embeddings", json={"model": MODEL, "input": ["hello"]})

    for refused in (embedded, ranked, ids, prompt_ids):
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["code"] == "personal_data"
    assert embedded.json()["error"]["param"] == "input"
    assert clean.status_code == 200, clean.text


async def test_an_engine_that_only_counts_tokens_reads_no_more_than_others(engine: FaultEngine, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": PROMPT}]
    async with guarded_gateway(engine, tmp_path, PiiRules("refuse")) as running, running.http() as http:
        answers = [
            await http.post("/tokenize", json={"model": MODEL, "prompt": PROMPT}),
            await http.post("/tokenize", json={"model": MODEL, "messages": chat}),
            await http.post("/v1/messages/count_tokens", json={"model": MODEL, "messages": chat}),
        ]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert all(IBAN not in answer.text and "iban=1" in answer.text for answer in answers)


async def test_passages_of_documents_are_looked_through_as_the_prompt_is(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, f"{BINS} Ask {MAIL} about the bins.") as asked:
        known = asked.running.view.cluster
        assert known is not None
        asked.running.view.install_cluster(replace(known, sequence=known.sequence + 1, pii=PiiRules("pseudonymise")))
        engine.script({"content": f"Ask {token('email', MAIL)} [1]."})
        text, cited, headers = await chat(asked, streamed=True, tools=[asked.tool])

    assert MAIL not in read_in(engine)
    assert token("email", MAIL) in read_in(engine)
    assert text == f"Ask {MAIL} [1]."
    assert [text[one["start_index"] : one["end_index"]] for one in cited] == ["[1]"]
    assert headers["x-potluck-pii"] == "email=1"


def _chat(prompt: str, streamed: bool = False) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": streamed, "max_tokens": 40}
