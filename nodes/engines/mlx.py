"""mlx-lm, on Metal and on Linux: the words of `mlx_start.py`, its paths, and what the metrics it adds mean."""

from inventory.catalog import HeldModel
from inventory.hardware import Hardware
from inventory.offline import OFFLINE
from nodes.engines.base import Command, EngineLaunch, EngineOption, EnginePaths, resolve_options
from nodes.engines.metrics_text import read_samples, whole
from nodes.snapshot import EngineKind, EngineLoad

START_SCRIPT = __file__.removesuffix(".py") + "_start.py"
PORT_TAKEN = 98

# Between two parts of a prompt the other requests get a token, and the client that waits a sign of life.
_CPU_BATCH, _GPU_BATCH = "256", "2048"

OPTIONS = (
    EngineOption("batch-tokens", "0", "prompt tokens per evaluation; 0 suits the hardware", minimum=0),
    EngineOption("prompt-cache-mib", "2048", "memory for the caches of earlier prompts and running ones", minimum=1),
)


# mlx-lm copies the caches of all prompts that it reads together, twice, when their answers begin. One at a time, and
# what is taken for that moment is known (cluster/fit_engines.py counts it).
PROMPTS_AT_ONCE = 1

# MLX on Linux takes its arrays from malloc. By itself glibc keeps what was freed, the more the larger it was, in an
# arena for each thread: memory that was used once would stay taken, and no two runs would take the same.
_GIVES_BACK = (
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_ARENA_MAX", "2"),
)


class MlxAdapter:
    kind: EngineKind = "mlx"
    paths = EnginePaths(health="/health", models="/v1/models", metrics="/metrics", trim="/potluck/trim")
    port_taken_exit_code = PORT_TAKEN

    def why_not(self, model: HeldModel, hardware: Hardware) -> str | None:
        if model.format != "mlx":
            return f"mlx-lm reads MLX folders; {model.ref.name} is {model.format}"
        host = hardware.host
        if host.os == "macos" and host.arch != "arm64":
            return "MLX runs on Macs with an Apple chip, and this one has an Intel processor"
        if host.os not in ("linux", "macos"):
            return f"potluck runs mlx-lm on macOS and Linux, not on {host.os}"
        return None

    def check_options(self, options: tuple[tuple[str, str], ...]) -> None:
        resolve_options(self.kind, OPTIONS, options)

    def command(self, launch: EngineLaunch) -> Command:
        options = resolve_options(self.kind, OPTIONS, launch.options)
        batch = options["batch-tokens"]
        if batch == "0":
            batch = _GPU_BATCH if launch.accelerated else _CPU_BATCH
        slots, context = str(launch.slots), str(launch.context_tokens)
        words = [launch.python, "-I", "-u", START_SCRIPT, "--port", str(launch.port), "--alias", launch.served_name]
        words += ["--slots", slots, "--context", context]
        if launch.secret_file is not None:
            words += ["--api-key-file", launch.secret_file]
        words += ["--model", launch.model_path, "--max-tokens", context]
        words += ["--decode-concurrency", slots, "--prefill-step-size", batch]
        words += ["--prompt-concurrency", str(PROMPTS_AT_ONCE)]
        words += ["--prompt-cache-bytes", str(int(options["prompt-cache-mib"]) << 20)]
        # Browsers get no leave to read answers. A log line of mlx-lm below this level may hold a whole request.
        words += ["--allowed-origins", "", "--log-level", "CRITICAL"]
        return Command(tuple(words), _environment(launch.working_dir), launch.working_dir)

    def parse_load(self, metrics_text: str) -> EngineLoad:
        """Nothing tells how full its caches are; the start script adds the most that all arrays took."""
        samples = read_samples(metrics_text)
        return EngineLoad(
            running=whole(samples, "potluck_mlx_requests_running"),
            waiting=whole(samples, "potluck_mlx_requests_waiting"),
            prompt_tokens_total=whole(samples, "potluck_mlx_prompt_tokens_total"),
            output_tokens_total=whole(samples, "potluck_mlx_output_tokens_total"),
            steps_total=whole(samples, "potluck_mlx_steps_total"),
            arrays_peak_bytes=whole(samples, "potluck_mlx_peak_bytes"),
        )


def _environment(working_dir: str) -> tuple[tuple[str, str], ...]:
    cache = f"{working_dir}/cache"
    return (
        *OFFLINE,
        ("HF_HOME", f"{cache}/huggingface"),
        ("TMPDIR", f"{cache}/mlx"),  # MLX on Linux loads the kernels that it compiled from here
        *_GIVES_BACK,
    )
