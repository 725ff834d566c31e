"""vLLM, the CUDA build and the CPU build: the words of `vllm_start.py`, vLLM's paths, and what its metrics mean."""

import re

from inventory.catalog import HeldModel
from inventory.hardware import Hardware
from inventory.offline import OFFLINE
from nodes.engines.base import Command, EngineLaunch, EngineOption, EnginePaths, resolve_options
from nodes.engines.metrics_text import read_samples, whole
from nodes.snapshot import EngineKind, EngineLoad

START_SCRIPT = __file__.removesuffix(".py") + "_start.py"
PORT_TAKEN = 98
SPARE_TOKENS = 256  # of each request: vLLM keeps its cache in blocks, of 128 tokens on a CPU, and one of them empty
LEAST_COMPUTE = (7, 5)  # CUDA capability that the wheels are compiled for

# A long prompt is evaluated in parts of so many tokens, and only between parts does another request get a token. On a
# CPU vLLM's own choice of several thousand would hold everybody up for most of a minute.
_CPU_BATCH = "512"

_CACHE_LABEL = re.compile(r'^vllm:cache_config_info\{.*\bkv_cache_memory_bytes="(\d+)"', re.MULTILINE)

OPTIONS = (
    EngineOption("batch-tokens", "0", "tokens per evaluation; 0 suits the hardware", minimum=0),
    EngineOption(
        "compile", "auto", "compile the model: minutes at the start, faster after", choices=("auto", "on", "off")
    ),
    EngineOption("dtype", "auto", "", choices=("auto", "bfloat16", "float16", "float32")),
    EngineOption("gpu-memory-percent", "90", "of the GPU that vLLM may plan with", minimum=1),
    EngineOption("kv-cache-mib", "0", "0 takes what the context of every slot needs", minimum=0),
    EngineOption("tensor-parallel", "1", "GPUs of this machine that share the model", minimum=1),
    EngineOption(
        "tool-parser",
        "none",
        "how this model writes its tool calls",
        choices=("none", "hermes", "llama3_json", "mistral", "pythonic"),
    ),
)


class VllmAdapter:
    kind: EngineKind = "vllm"
    paths = EnginePaths(health="/health", models="/v1/models", metrics="/metrics")
    port_taken_exit_code = PORT_TAKEN

    def why_not(self, model: HeldModel, hardware: Hardware) -> str | None:
        if model.format != "safetensors":
            return f"vLLM reads safetensors; {model.ref.name} is {model.format}"
        if hardware.host.os != "linux" or hardware.host.arch not in ("x86_64", "AMD64"):
            return f"potluck runs vLLM on Linux x86_64, not on {hardware.host.os} {hardware.host.arch}"
        for accelerator in hardware.accelerators:
            if accelerator.vendor == "nvidia" and _too_old(accelerator.compute):
                least = ".".join(map(str, LEAST_COMPUTE))
                return f"{accelerator.name} has CUDA capability {accelerator.compute}; vLLM needs {least} or more"
        return None

    def check_options(self, options: tuple[tuple[str, str], ...]) -> None:
        resolve_options(self.kind, OPTIONS, options)

    def command(self, launch: EngineLaunch) -> Command:
        options = resolve_options(self.kind, OPTIONS, launch.options)
        words = [launch.python, "-I", "-u", START_SCRIPT, "--port", str(launch.port)]
        if launch.secret_file is not None:
            words += ["--api-key-file", launch.secret_file]
        words += ["--model", launch.model_path, "--served-model-name", launch.served_name]
        words += ["--max-model-len", str(launch.context_tokens), "--max-num-seqs", str(launch.slots)]
        words += ["--dtype", options["dtype"], "--tensor-parallel-size", options["tensor-parallel"]]
        words += _memory(launch, options)
        batch = options["batch-tokens"] if options["batch-tokens"] != "0" or launch.accelerated else _CPU_BATCH
        if batch != "0":
            words += ["--max-num-batched-tokens", str(max(int(batch), launch.slots, launch.whole_tokens))]
        if options["compile"] == "off" or (options["compile"] == "auto" and not launch.accelerated):
            words += ["--enforce-eager"]
        if launch.purpose != "write":
            words += ["--runner", "pooling"]  # what comes out, vectors or ranks, it knows by the model's own config
        if options["tool-parser"] != "none":
            words += ["--enable-auto-tool-choice", "--tool-call-parser", options["tool-parser"]]
        # An address in a request is no reason to open a connection: only media inside a request are taken.
        words += ["--allowed-media-domains", "none.invalid", "--disable-uvicorn-access-log"]
        words += ["--no-enable-log-requests"]  # its own default, said so that no prompt depends on one
        words += ["--enable-prompt-tokens-details"]  # else nobody learns what the prefix cache saved
        return Command(tuple(words), _environment(launch.cache_dir), launch.working_dir)

    def parse_load(self, metrics_text: str) -> EngineLoad:
        """Prompt tokens are counted when a prompt is done; steps move with each part of it."""
        samples = read_samples(metrics_text)
        cache = _CACHE_LABEL.search(metrics_text)
        waiting = whole(samples, "vllm:num_requests_waiting")
        return EngineLoad(
            running=_running(whole(samples, "potluck_requests_in_flight"), waiting),
            waiting=waiting,
            kv_used=samples.get("vllm:kv_cache_usage_perc"),
            prompt_tokens_total=whole(samples, "vllm:prompt_tokens_total"),
            output_tokens_total=whole(samples, "vllm:generation_tokens_total"),
            steps_total=whole(samples, "vllm:iteration_tokens_total_count"),
            cache_bytes=None if cache is None else int(cache[1]),
        )


def _running(in_flight: int | None, waiting: int | None) -> int | None:
    """What is in flight and does not wait, by the start script's own count. While there is anything, one runs: the
    other figure may be old."""
    return None if in_flight is None else max(min(in_flight, 1), in_flight - (waiting or 0))


def _memory(launch: EngineLaunch, options: dict[str, str]) -> list[str]:
    """The cache is given in bytes: by its own choice vLLM would take the whole GPU, or half of a CPU server."""
    chosen = int(options["kv-cache-mib"]) << 20 or _needed(launch, options["dtype"])
    words = ["--kv-cache-memory-bytes", str(chosen)] if chosen else []
    if not chosen and launch.whole_tokens and not launch.accelerated:
        words = ["--kv-cache-memory-bytes", "1"]  # it keeps no cache; unsaid, nine tenths of all memory had to be free
    if launch.accelerated:
        words += ["--gpu-memory-utilization", f"{min(int(options['gpu-memory-percent']), 100) / 100:g}"]
    return words


def _needed(launch: EngineLaunch, dtype: str) -> int | None:
    if launch.kv_cache_bytes is None:
        return None
    elements = 2 if dtype == "float32" else 1
    tokens = launch.cache_tokens or launch.context_tokens * launch.slots
    by_tokens = launch.kv_cache_bytes * (tokens + launch.slots * SPARE_TOKENS) // tokens
    return (by_tokens + launch.state_cache_bytes) * elements


def _environment(cache: str) -> tuple[tuple[str, str], ...]:
    return (
        *OFFLINE,
        ("GLOO_SOCKET_IFNAME", "lo"),  # its workers listen for each other, else on the address of the host's name
        ("HF_HOME", f"{cache}/huggingface"),
        ("NCCL_SOCKET_IFNAME", "lo"),
        ("TORCHINDUCTOR_CACHE_DIR", f"{cache}/torchinductor"),
        ("TRITON_CACHE_DIR", f"{cache}/triton"),
        ("VLLM_CACHE_ROOT", f"{cache}/vllm"),
        ("VLLM_CONFIG_ROOT", f"{cache}/vllm-config"),
        ("VLLM_HOST_IP", "127.0.0.1"),
    )


def _too_old(compute: str | None) -> bool:
    numbers = (compute or "").split(".")
    if len(numbers) != len(LEAST_COMPUTE) or not all(number.isdigit() for number in numbers):
        return False  # unknown: its own start is the test
    return tuple(map(int, numbers)) < LEAST_COMPUTE
