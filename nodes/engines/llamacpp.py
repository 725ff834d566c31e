"""llama.cpp as packaged by xllamacpp: the flags of `llamacpp_server.py`, its paths, and what its metrics mean."""

from inventory.catalog import HeldModel
from inventory.hardware import Hardware
from inventory.offline import OFFLINE
from nodes.engines.base import Command, EngineLaunch, EngineOption, EnginePaths, resolve_options
from nodes.engines.metrics_text import read_samples, whole
from nodes.snapshot import EngineKind, EngineLoad

SERVER_SCRIPT = __file__.removesuffix(".py") + "_server.py"
PORT_TAKEN = 98

# A prompt is evaluated batch by batch, and only between batches can a request be cancelled or another one get a
# token. On a CPU 128 tokens take about a second and cost no throughput (measured: 7.2 s against 7.8 s at 512).
_CPU_BATCH, _GPU_BATCH = "128", "1024"

OPTIONS = (
    EngineOption("threads", "-1", "CPU threads; -1 leaves the choice to llama.cpp", minimum=-1),
    EngineOption("gpu-layers", "-1", "layers kept on the GPU; -1 takes all", minimum=-1),
    EngineOption("batch-tokens", "0", "prompt tokens per evaluation; 0 suits the hardware", minimum=0),
    EngineOption("prompt-cache-mib", "0", "RAM for prompts of idle slots, on top of the KV cache", minimum=0),
    EngineOption("flash-attention", "auto", "", choices=("auto", "on", "off")),
    EngineOption("kv-type", "f16", "type of the KV cache", choices=("f16", "q8_0")),
    EngineOption("pooling", "auto", "how a model's vectors become one", choices=("auto", "mean", "cls", "last")),
)

# Its threads wait for each other some hundred times a token, and spin meanwhile. Where other programs take the
# processors they spin away the very time that the slowest thread needs: with four busy ones beside two threads it is
# 42 tokens a second against 9, alone 162 against 160 (SmolLM2-sized, measured). 30,000 turns are about 50 us.
_SPIN = ("GOMP_SPINCOUNT", "30000")

_ENVIRONMENT = (
    *OFFLINE,
    _SPIN,
    ("PYTHONSAFEPATH", "1"),
    ("PYTHONUNBUFFERED", "1"),
)


class LlamaCppAdapter:
    kind: EngineKind = "llamacpp"
    paths = EnginePaths(health="/health", models="/v1/models", metrics="/metrics")
    port_taken_exit_code = PORT_TAKEN

    def why_not(self, model: HeldModel, hardware: Hardware) -> str | None:
        if model.format != "gguf":
            return f"llama.cpp reads GGUF files; {model.ref.name} is {model.format}"
        if hardware.host.os not in ("linux", "macos"):
            return f"potluck runs llama.cpp on Linux and macOS, not on {hardware.host.os}"
        return None

    def check_options(self, options: tuple[tuple[str, str], ...]) -> None:
        resolve_options(self.kind, OPTIONS, options)

    def command(self, launch: EngineLaunch) -> Command:
        options = resolve_options(self.kind, OPTIONS, launch.options)
        if options["batch-tokens"] == "0":
            usual = _GPU_BATCH if launch.accelerated else _CPU_BATCH
            options["batch-tokens"] = str(max(int(usual), launch.whole_tokens))
        words = [launch.python, "-I", SERVER_SCRIPT, "--model", launch.model_path, "--alias", launch.served_name]
        words += ["--port", str(launch.port), "--slots", str(launch.slots)]
        if launch.cache_tokens:
            words += ["--context", str(launch.cache_tokens), "--slot-context", str(launch.context_tokens)]
        else:
            words += ["--context", str(launch.context_tokens * launch.slots)]  # llama.cpp divides it by its slots
        if launch.secret_file is not None:
            words += ["--api-key-file", launch.secret_file]
        words += ["--purpose", launch.purpose]
        for name, value in sorted(options.items()):
            words += [f"--{name}", value]
        return Command(tuple(words), _ENVIRONMENT, launch.working_dir)

    def parse_load(self, metrics_text: str) -> EngineLoad:
        """llama.cpp exports no use of its KV cache. Token counters move when a request ends; steps move with each."""
        samples = read_samples(metrics_text)
        return EngineLoad(
            running=whole(samples, "llamacpp:requests_processing"),
            waiting=whole(samples, "llamacpp:requests_deferred"),
            prompt_tokens_total=whole(samples, "llamacpp:prompt_tokens_total"),
            output_tokens_total=whole(samples, "llamacpp:tokens_predicted_total"),
            steps_total=whole(samples, "llamacpp:n_decode_total"),
        )
