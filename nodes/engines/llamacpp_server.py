"""Serve one GGUF file with llama.cpp's own HTTP server. A script: the engine environment's python runs it.

It imports nothing of potluck, because that environment does not have it. SIGTERM keeps its default action, so that it
ends the process at once, also in the middle of loading: llama.cpp has nothing to save.
"""

import argparse
import ctypes
import socket
import sys
import threading
from pathlib import Path

import xllamacpp

HOST = "127.0.0.1"  # never another one: what reaches this engine comes through potluck
EXIT_PORT_TAKEN = 98  # nodes/engines/llamacpp.py knows it
EXIT_CANNOT_SERVE = 1
SPARE_CONNECTIONS = 64  # each open connection holds a thread; probes must get through beside a full load
LOG_BUFFERS = 4  # the level at which it tells the size of each buffer while it loads
LOG_ERRORS = 1  # at 2 it quotes what it could not read in a request


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens over all slots")
    parser.add_argument("--slot-context", type=int, default=0, help="of one slot, where all share --context")
    parser.add_argument("--api-key-file", type=Path)
    parser.add_argument("--threads", type=int, default=-1)
    parser.add_argument("--gpu-layers", type=int, default=-1)
    parser.add_argument("--batch-tokens", type=int, default=512)
    parser.add_argument("--prompt-cache-mib", type=int, default=0)
    parser.add_argument("--flash-attention", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--kv-type", choices=("f16", "q8_0"), default="f16")
    parser.add_argument("--purpose", choices=("write", "embed", "rerank"), default="write")
    parser.add_argument("--pooling", choices=("auto", "mean", "cls", "last"), default="auto")
    return parser.parse_args(argv)


def parameters(arguments: argparse.Namespace) -> "xllamacpp.CommonParams":
    chosen = xllamacpp.CommonParams()
    chosen.model.path = arguments.model
    chosen.model_alias = {arguments.alias}
    chosen.hostnames = [HOST]
    chosen.port = arguments.port
    chosen.api_keys = [arguments.api_key_file.read_text().strip()] if arguments.api_key_file else []
    chosen.n_parallel = arguments.slots
    chosen.n_threads_http = arguments.slots + SPARE_CONNECTIONS
    chosen.n_ctx = arguments.context
    # Each slot has the context it was promised, whatever the others hold; or the gateway sees to that.
    chosen.kv_unified = arguments.slot_context > 0
    chosen.kv_unified_per_slot = arguments.slot_context
    chosen.fit_params = False  # potluck decided what fits; a silently shortened context would be a lie
    chosen.ctx_shift = False  # a full context ends the answer instead of forgetting its beginning
    chosen.cache_ram_mib = arguments.prompt_cache_mib
    chosen.n_batch = chosen.n_ubatch = arguments.batch_tokens
    chosen.cpuparams.n_threads = chosen.cpuparams_batch.n_threads = arguments.threads
    chosen.n_gpu_layers = arguments.gpu_layers
    kinds = xllamacpp.llama_flash_attn_type
    chosen.flash_attn_type = {
        "auto": kinds.LLAMA_FLASH_ATTN_TYPE_AUTO,
        "on": kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        "off": kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    }[arguments.flash_attention]
    types = {"f16": xllamacpp.ggml_type.GGML_TYPE_F16, "q8_0": xllamacpp.ggml_type.GGML_TYPE_Q8_0}
    chosen.cache_type_k = chosen.cache_type_v = types[arguments.kv_type]
    chosen.embedding = arguments.purpose != "write"
    chosen.pooling_type = pooling(arguments)
    chosen.use_jinja = True
    chosen.warmup = False  # a second of start-up for milliseconds of the first answer
    chosen.verbosity = LOG_BUFFERS
    chosen.n_ctx_checkpoints = 0  # of a model with windows each takes as much as its windows, up to 32 for a request
    chosen.offline = True
    chosen.ui = False
    chosen.endpoint_metrics = chosen.endpoint_slots = True
    chosen.endpoint_props = False  # would let a client change the engine's settings
    chosen.cors_origins = ""
    return chosen


def pooling(arguments: argparse.Namespace) -> "xllamacpp.llama_pooling_type":
    """As the model's file says, unless the operator knows better."""
    kinds = xllamacpp.llama_pooling_type
    if arguments.purpose == "rerank":
        return kinds.LLAMA_POOLING_TYPE_RANK
    return {
        "auto": kinds.LLAMA_POOLING_TYPE_UNSPECIFIED,
        "mean": kinds.LLAMA_POOLING_TYPE_MEAN,
        "cls": kinds.LLAMA_POOLING_TYPE_CLS,
        "last": kinds.LLAMA_POOLING_TYPE_LAST,
    }[arguments.pooling]


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def keep_to_errors() -> None:
    """From here on nothing of a request reaches the log. xllamacpp has no call for it; llama.cpp has a variable."""
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    try:
        ctypes.c_int.in_dll(library, "common_log_verbosity_thold").value = LOG_ERRORS
    except ValueError:
        print("this build's log cannot be turned down: it may quote requests that it refuses", file=sys.stderr)  # noqa: T201


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    if not port_is_free(arguments.port):
        print(f"port {arguments.port} is taken", file=sys.stderr)  # noqa: T201  stderr is the engine's log
        return EXIT_PORT_TAKEN
    try:
        server = xllamacpp.Server(parameters(arguments))  # returns once the model is loaded
    except RuntimeError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_CANNOT_SERVE if port_is_free(arguments.port) else EXIT_PORT_TAKEN
    expected = f"http://{HOST}:{arguments.port}"
    if server.listening_address != expected:
        print(f"listens on {server.listening_address}, not {expected}", file=sys.stderr)  # noqa: T201
        return EXIT_CANNOT_SERVE
    keep_to_errors()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
