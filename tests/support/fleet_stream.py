"""`fleet_stream.py ENDPOINT WORKERS`, the key as the first line on stdin: asks without pause until stdin ends.

Prints one JSON line then: how many answers came whole, by node, and of every other one when (monotonic) and why not.
"""

import asyncio
import json
import sys
from collections import Counter
from time import monotonic

from openai import AsyncOpenAI, OpenAIError


class Asking:
    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client
        self.whole: Counter[str] = Counter()
        self.failed: list[tuple[float, str]] = []

    async def worker(self, number: int) -> None:
        while True:
            number += 100
            try:
                await self._one(number)
            except OpenAIError as error:
                self.failed.append((monotonic(), f"{type(error).__name__}: {error}"))

    async def _one(self, number: int) -> None:
        answer = await self._client.chat.completions.with_raw_response.create(
            model="smollm2",
            messages=[{"role": "user", "content": f"Tell me about quillonbrax {number}."}],  # support.leaks
            max_tokens=12,
            stream=True,
        )
        node, ended = answer.headers["x-potluck-node"], None
        async for chunk in answer.parse():
            ended = chunk.choices[0].finish_reason if chunk.choices else ended
        if ended is None:
            self.failed.append((monotonic(), f"{node}: the stream ended without a reason"))
        else:
            self.whole[node] += 1


async def main() -> None:
    endpoint, workers = sys.argv[1], int(sys.argv[2])
    key = sys.stdin.readline().strip()
    async with AsyncOpenAI(base_url=endpoint, api_key=key, max_retries=0) as client:
        asking = Asking(client)
        tasks = [asyncio.create_task(asking.worker(number)) for number in range(workers)]
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print(json.dumps({"whole": asking.whole, "failed": asking.failed}))


asyncio.run(main())
