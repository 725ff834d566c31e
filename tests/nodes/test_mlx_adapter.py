"""The mlx adapter: what runs, with which words, and what the metrics of its start script say."""

from dataclasses import replace

import pytest

from inventory.catalog import HeldModel
from inventory.hardware import Hardware, Host
from nodes.engines.base import EngineLaunch, EngineOptionError
from nodes.engines.mlx import OPTIONS, MlxAdapter
from nodes.snapshot import EngineLoad
from support.launches import a_launch
from support.nodes import spec

MAC = Hardware(Host("macos", "15", "arm64", None, 2, 2, "boot"), (), (), None, None)
MODEL = HeldModel(spec().model, "mlx", 1, 1, 2048, frozenset({"chat"}))
LAUNCH = a_launch("mlx", "/models/smollm2")


def words(launch: EngineLaunch) -> dict[str, str]:
    argv = MlxAdapter().command(launch).argv[4:]
    return dict(zip(argv[::2], argv[1::2], strict=True))


def test_it_runs_mlx_folders_on_apple_chips_and_linux_and_says_why_not_otherwise() -> None:
    adapter = MlxAdapter()

    assert adapter.why_not(MODEL, MAC) is None
    assert adapter.why_not(MODEL, replace(MAC, host=replace(MAC.host, os="linux", arch="x86_64"))) is None
    assert "reads MLX" in str(adapter.why_not(replace(MODEL, format="safetensors"), MAC))
    assert "Intel" in str(adapter.why_not(MODEL, replace(MAC, host=replace(MAC.host, arch="x86_64"))))
    assert "not on windows" in str(adapter.why_not(MODEL, replace(MAC, host=replace(MAC.host, os="windows"))))


def test_slots_are_requests_at_once_and_the_context_bounds_an_answer() -> None:
    given = words(LAUNCH)

    assert [given[flag] for flag in ("--slots", "--decode-concurrency", "--prompt-concurrency")] == ["4", "4", "1"]
    assert (given["--context"], given["--max-tokens"]) == ("2048", "2048")
    assert (given["--model"], given["--alias"], given["--port"]) == ("/models/smollm2", "smollm2", "4711")


def test_the_secret_goes_by_file_and_nothing_leaves_the_machine() -> None:
    command = MlxAdapter().command(LAUNCH)
    environment = dict(command.environment)

    assert words(LAUNCH)["--api-key-file"] == "/state/secrets/engine"
    assert command.argv[:2] == ("/engines/mlx/bin/python", "-I")
    assert (environment["HF_HUB_OFFLINE"], environment["TMPDIR"]) == ("1", "/state/cache/mlx")
    assert words(LAUNCH)["--allowed-origins"] == ""


def test_prompt_steps_are_small_on_a_cpu_unless_said_otherwise() -> None:
    flag = "--prefill-step-size"

    assert (words(LAUNCH)[flag], words(replace(LAUNCH, accelerated=True))[flag]) == ("256", "2048")
    assert words(replace(LAUNCH, options=(("batch-tokens", "64"),)))[flag] == "64"


def test_an_option_it_does_not_have_is_an_error_and_every_default_is_valid() -> None:
    MlxAdapter().check_options(tuple((option.name, option.default) for option in OPTIONS))
    with pytest.raises(EngineOptionError, match="it has batch-tokens, prompt-cache-mib"):
        MlxAdapter().check_options((("zzz", "1"),))


def test_metrics_become_load() -> None:
    text = """# TYPE potluck_mlx_requests_running gauge
potluck_mlx_requests_running 2
potluck_mlx_requests_waiting 1
potluck_mlx_prompt_tokens_total 37
potluck_mlx_output_tokens_total 8
potluck_mlx_steps_total 10
potluck_mlx_active_bytes 100
potluck_mlx_peak_bytes 250
"""

    assert MlxAdapter().parse_load(text) == EngineLoad(
        running=2, waiting=1, prompt_tokens_total=37, output_tokens_total=8, steps_total=10, arrays_peak_bytes=250
    )
    assert MlxAdapter().parse_load("") == EngineLoad()
