"""`fleet_client.py ENDPOINT COUNT TOKENS`, the key on stdin: streamed answers at once, a JSON line for each."""

import asyncio
import json
import sys

from openai import AsyncOpenAI


async def one(client: AsyncOpenAI, number: int, tokens: int) -> None:
    answer = await client.chat.completions.with_raw_response.create(
        model="smollm2",
        messages=[{"role": "user", "content": f"Tell a story about quillonbrax {number}."}],  # support.leaks
        max_tokens=tokens,
        stream=True,
    )
    pieces = [chunk.choices[0].delta.content or "" async for chunk in answer.parse() if chunk.choices]
    print(json.dumps({"node": answer.headers["x-potluck-node"], "text": "".join(pieces)}))


async def main() -> None:
    endpoint, count, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    key = sys.stdin.read().strip()
    async with AsyncOpenAI(base_url=endpoint, api_key=key, max_retries=0, _strict_response_validation=True) as client:
        await asyncio.gather(*(one(client, number, tokens) for number in range(count)))


asyncio.run(main())
