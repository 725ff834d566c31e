"""The fault engine: a real executable that speaks an engine's wire and misbehaves on command. Standard library only.

    python tests/support/fault_engine --dialect llamacpp --port 0 --port-file F --tokens-per-s 50

Faults come as flags, or at run time by `POST /fault {"frozen": true}`; `GET /fault` tells what is going on inside.
"""

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # any python may run this directory

from support.fault_engine.engine import EXIT_PORT_TAKEN, Engine
from support.fault_engine.faults import Faults


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dialect", choices=("vllm", "llamacpp", "mlx", "encoder"), required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path)
    parser.add_argument("--api-key-file", type=Path)
    parser.add_argument("--model-name", default="fault-model")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--helpers", type=int, default=0, help="Processes of its own, as vLLM's core is one.")
    for field in fields(Faults):
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            kind = str if field.name == "die_how" else int if isinstance(field.default, int) else float
            parser.add_argument(flag, type=kind, default=field.default)
    return parser.parse_args(argv)


async def main(arguments: argparse.Namespace) -> int:
    faults = Faults(**{field.name: getattr(arguments, field.name) for field in fields(Faults)})
    key = arguments.api_key_file.read_text().strip() if arguments.api_key_file else None
    engine = Engine(arguments.dialect, arguments.model_name, key, faults)
    engine.slots, engine.context = arguments.slots, arguments.context
    for _ in range(arguments.helpers):
        await asyncio.create_subprocess_exec("sleep", "3600")
    stop = asyncio.Event()

    def on_terminate() -> None:
        if not faults.hang_on_sigterm:
            stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, on_terminate)
    try:
        server = await asyncio.start_server(engine.serve, arguments.host, arguments.port)
    except OSError:
        return EXIT_PORT_TAKEN
    if arguments.port_file:
        temporary = arguments.port_file.with_suffix(f".{os.getpid()}")
        temporary.write_text(str(server.sockets[0].getsockname()[1]))
        temporary.replace(arguments.port_file)
    print("fault engine listens on", server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    return 0


if __name__ == "__main__":
    # os._exit: open streams must not delay an end that was asked for.
    status = asyncio.run(main(parse_arguments(sys.argv[1:])))
    sys.stdout.flush()
    os._exit(status)
