"""What the command line imports must stay light: these libraries cost 0.1 s to 1 s each."""

import subprocess
import sys

HEAVY = ("gguf", "numpy", "huggingface_hub", "httpx2", "pydantic", "asyncio", "psutil")


def test_the_store_and_the_sources_load_nothing_heavy() -> None:
    program = "import sys, inventory.store, inventory.acquire; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert [name for name in HEAVY if name in loaded.stdout.split()] == []
