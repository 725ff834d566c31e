"""A simulated engine in place of a real one: what the real adapter refuses is refused, what starts is our server."""

from collections.abc import Mapping
from dataclasses import dataclass

from inventory.catalog import HeldModel
from inventory.hardware import Hardware
from inventory.offline import OFFLINE
from nodes.engines.base import Command, EngineAdapter, EngineLaunch, EnginePaths
from nodes.engines.metrics_text import read_samples, whole
from nodes.engines.simulated_pace import SimulatedPace
from nodes.snapshot import EngineKind, EngineLoad

MODULE = "nodes.engines.simulated_server"
PORT_TAKEN = 98
VERSION = "simulated"


@dataclass(frozen=True, slots=True)
class SimulatedAdapter:
    """`real` says what such an engine can run and which options it takes. `paces` by the name of a model; `where` is
    named in answers."""

    real: EngineAdapter
    paces: Mapping[str, SimulatedPace]
    where: str
    paths: EnginePaths = EnginePaths(health="/health", models="/v1/models", metrics="/metrics")  # noqa: RUF009  frozen
    port_taken_exit_code: int | None = PORT_TAKEN

    @property
    def kind(self) -> EngineKind:
        return self.real.kind

    def why_not(self, model: HeldModel, hardware: Hardware) -> str | None:
        if model.ref.name not in self.paces:
            return f"{model.ref.name} is none of the models that are simulated here"
        return self.real.why_not(model, hardware)

    def check_options(self, options: tuple[tuple[str, str], ...]) -> None:
        self.real.check_options(options)

    def command(self, launch: EngineLaunch) -> Command:
        pace = self.paces[launch.served_name]
        rates = pace.rates
        words = [launch.python, "-I", "-m", MODULE, "--kind", self.kind, "--alias", launch.served_name]
        words += ["--port", str(launch.port), "--slots", str(launch.slots), "--context", str(launch.context_tokens)]
        words += ["--where", self.where, "--purpose", launch.purpose, "--load-s", f"{pace.load_s:.6g}"]
        words += ["--prefill", f"{rates.prefill:.6g}", "--doubling-tokens", f"{rates.doubling_tokens:.6g}"]
        words += ["--step-s", f"{rates.step_s:.6g}", "--step-per-request-s", f"{rates.step_per_request_s:.6g}"]
        words += ["--step-per-token-s", f"{rates.step_per_token_s:.6g}", "--chunk-tokens", str(rates.chunk_tokens)]
        if launch.secret_file is not None:
            words += ["--api-key-file", launch.secret_file]
        return Command(tuple(words), OFFLINE, launch.working_dir)

    def parse_load(self, metrics_text: str) -> EngineLoad:
        samples = read_samples(metrics_text)
        return EngineLoad(
            running=whole(samples, "potluck_simulated_requests_running"),
            waiting=whole(samples, "potluck_simulated_requests_waiting"),
            kv_used=samples.get("potluck_simulated_kv_used"),
            prompt_tokens_total=whole(samples, "potluck_simulated_prompt_tokens_total"),
            output_tokens_total=whole(samples, "potluck_simulated_output_tokens_total"),
            steps_total=whole(samples, "potluck_simulated_steps_total"),
        )
