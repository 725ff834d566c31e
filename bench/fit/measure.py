"""Measure one cell: start the engine, let it rest, fill the whole context of every request at once, and end it."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from time import monotonic

import httpx2
import msgspec

from bench.fit.cells import Cell, Measurement
from bench.fit.engine import Bed, EngineFailedError, RunningEngine, Subject, last_word, raised, running
from bench.fit.memory import PeakMeter, session_of, usage_of
from bench.fit.prompts import Ruler, words
from inventory.catalog import ModelShape, shape_of
from inventory.model_files import find_model_files
from inventory.model_reader import read_model
from inventory.secret_files import read_secret
from nodes.engines.accounts import copied_bytes, items_in_load, items_in_log

SPARE_TOKENS = 8  # of the context of a request: room for the answer, and for what a tokenizer adds
ANSWER_TOKENS = 4
REQUEST_TIMEOUT_S = 1800.0


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Answer(msgspec.Struct):
    usage: _Usage


async def measure(bed: Bed, subject: Subject) -> Measurement:
    """Raises nothing that the engine is to blame for: that is the measurement's `error`."""
    began_s, path = monotonic(), subject.path
    empty = Measurement(subject.cell, subject.environment.version, path.name, size_of(path), subject.shape)
    try:
        async with running(bed, subject) as engine:
            done = await _measured(engine, empty)
    except EngineFailedError as error:
        done = replace(empty, error=str(error))
    return replace(done, seconds=monotonic() - began_s)


async def _measured(engine: RunningEngine, empty: Measurement) -> Measurement:
    cell, rest = empty.cell, usage_of(session_of(engine.pid))
    client, source = Client(engine, cell), random.Random(str(cell))
    try:
        ruler = await Ruler.calibrate(client.count_tokens, source)
        count = ruler.words_for(cell.context_tokens - SPARE_TOKENS)
        prompts = [words(count, source) for _ in range(cell.slots)]
        with PeakMeter(engine.pid) as meter:
            filled = sum(await asyncio.gather(*map(client.complete, prompts)))
        metrics = await client.metrics()
    except httpx2.HTTPError as error:
        raise EngineFailedError(f"a request failed ({error!r})", last_word(engine.log)) from error
    finally:
        await client.close()
    log = engine.log.read_text(errors="replace")
    return replace(
        empty,
        rest=rest,
        peak=meter.peak,
        copied_bytes=copied_bytes(log),
        filled_tokens=filled,
        accounts=items_in_log(cell.kind, log) or items_in_load(engine.adapter.parse_load(metrics)),
    )


class Client:
    """Asks the engine under measurement, with its secret."""

    def __init__(self, engine: RunningEngine, cell: Cell) -> None:
        self._engine, self._model = engine, cell.model
        secret = read_secret(Path(str(engine.endpoint.secret_file)))
        self._client = httpx2.AsyncClient(
            base_url=f"http://{engine.endpoint.host}:{engine.endpoint.port}",
            headers={"authorization": f"Bearer {secret}"},
            timeout=REQUEST_TIMEOUT_S,
            trust_env=False,
        )

    async def complete(self, prompt: str, answer_tokens: int = ANSWER_TOKENS) -> int:
        """How many tokens the request had in the end."""
        usage = await self._ask(prompt, answer_tokens)
        return usage.prompt_tokens + usage.completion_tokens

    async def count_tokens(self, prompt: str) -> int:
        return (await self._ask(prompt, 1)).prompt_tokens

    async def metrics(self) -> str:
        path = self._engine.adapter.paths.metrics
        return "" if path is None else (await self._client.get(path)).text

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, prompt: str, answer_tokens: int) -> _Usage:
        body = {"model": self._model, "prompt": prompt, "max_tokens": answer_tokens, "temperature": 0}
        answer = await self._client.post("/v1/completions", json=body)
        if answer.status_code != httpx2.codes.OK:
            why = raised(self._engine.log) if answer.is_server_error else None
            raise EngineFailedError(f"it answered {answer.status_code}", why or answer.text[:500])
        return msgspec.json.decode(answer.content, type=_Answer).usage


def shape_at(path: Path) -> ModelShape:
    """By the artifact's own headers, as the product reads them. Raises ModelFileError, UnusableModelError, OSError."""
    return shape_of(read_model(path.name, find_model_files(path))[1])


def size_of(path: Path) -> int:
    """A file, or all files of a folder: what peers take for the size of a model."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
