"""The vLLM adapter: what runs, with which words, and what its metrics say."""

from dataclasses import replace

import pytest

from inventory.catalog import HeldModel, Purpose
from inventory.hardware import Accelerator, Hardware, Host, PoolId
from nodes.engines.base import EngineLaunch, EngineOptionError
from nodes.engines.vllm import OPTIONS, VllmAdapter
from nodes.snapshot import EngineLoad
from support.launches import a_launch
from support.nodes import spec

LINUX = Hardware(Host("linux", "12", "x86_64", None, 2, 2, "boot"), (), (), None, None)
MODEL = HeldModel(spec().model, "safetensors", 1, 1, 2048, frozenset({"chat"}))
LAUNCH = a_launch("vllm", "/models/smollm2", kv_cache_bytes=2048 * 4 * 1000)


def words(launch: EngineLaunch) -> list[str]:
    return list(VllmAdapter().command(launch).argv)


def value(launch: EngineLaunch, flag: str) -> str | None:
    argv = words(launch)
    return argv[argv.index(flag) + 1] if flag in argv else None


def nvidia(compute: str | None) -> Hardware:
    return replace(LINUX, accelerators=(Accelerator("nvidia", "GPU", PoolId("vram:0"), "580", compute),))


def test_it_runs_safetensors_on_linux_pcs_and_says_why_not_otherwise() -> None:
    adapter = VllmAdapter()
    mac = replace(LINUX, host=replace(LINUX.host, os="macos", arch="arm64"))

    assert adapter.why_not(MODEL, LINUX) is None
    assert "reads safetensors" in str(adapter.why_not(replace(MODEL, format="gguf"), LINUX))
    assert "not on macos arm64" in str(adapter.why_not(MODEL, mac))


def test_a_gpu_older_than_its_wheels_is_refused_and_an_unknown_one_is_tried() -> None:
    answers = [VllmAdapter().why_not(MODEL, nvidia(compute)) for compute in ("6.1", "7.5", "8.9", "12.0", None)]

    assert answers[0] == "GPU has CUDA capability 6.1; vLLM needs 7.5 or more"
    assert answers[1:] == [None] * 4


def test_the_context_is_that_of_each_request_and_the_model_is_a_folder() -> None:
    flags = ("--model", "--served-model-name", "--max-model-len", "--max-num-seqs", "--port")

    assert [value(LAUNCH, flag) for flag in flags] == ["/models/smollm2", "smollm2", "2048", "4", "4711"]


def test_the_cache_is_what_all_slots_need_and_some_blocks_unless_the_operator_says_more() -> None:
    flag = "--kv-cache-memory-bytes"

    assert value(LAUNCH, flag) == str(2304 * 4 * 1000)
    assert value(replace(LAUNCH, options=(("dtype", "float32"),)), flag) == str(2 * 2304 * 4 * 1000)
    assert value(replace(LAUNCH, options=(("kv-cache-mib", "100"),)), flag) == str(100 << 20)
    assert value(replace(LAUNCH, cache_tokens=4096, kv_cache_bytes=4096 * 1000), flag) == str((4096 + 4 * 256) * 1000)
    assert value(replace(LAUNCH, state_cache_bytes=5000), flag) == str(2304 * 4 * 1000 + 5000)
    assert value(replace(LAUNCH, kv_cache_bytes=None), flag) is None


def test_on_a_gpu_it_compiles_and_takes_a_share_of_memory_and_on_a_cpu_small_steps() -> None:
    gpu = replace(LAUNCH, accelerated=True, options=(("gpu-memory-percent", "85"),))

    assert ("--enforce-eager" in words(LAUNCH), "--enforce-eager" in words(gpu)) == (True, False)
    assert (value(LAUNCH, "--max-num-batched-tokens"), value(gpu, "--max-num-batched-tokens")) == ("512", None)
    assert (value(LAUNCH, "--gpu-memory-utilization"), value(gpu, "--gpu-memory-utilization")) == (None, "0.85")


def test_the_secret_goes_by_file_and_nothing_leaves_the_machine() -> None:
    command = VllmAdapter().command(LAUNCH)
    environment = dict(command.environment)

    assert value(LAUNCH, "--api-key-file") == "/state/secrets/engine"
    assert "--api-key" not in command.argv
    assert command.argv[:2] == ("/engines/vllm/bin/python", "-I")
    assert {environment[name] for name in ("HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")} == {"1"}
    assert all(
        path.startswith("/engines/vllm/cache/") for name, path in command.environment if name.endswith(("DIR", "ROOT"))
    )
    assert value(LAUNCH, "--allowed-media-domains") == "none.invalid"


def test_it_tells_what_of_a_prompt_was_cached() -> None:
    assert "--enable-prompt-tokens-details" in words(LAUNCH)


def test_tools_need_the_parser_of_the_model() -> None:
    chosen = replace(LAUNCH, options=(("tool-parser", "hermes"),))

    assert "--enable-auto-tool-choice" not in words(LAUNCH)
    assert ("--enable-auto-tool-choice" in words(chosen), value(chosen, "--tool-call-parser")) == (True, "hermes")


def test_an_option_it_does_not_have_is_an_error_and_every_default_is_valid() -> None:
    VllmAdapter().check_options(tuple((option.name, option.default) for option in OPTIONS))
    with pytest.raises(EngineOptionError, match="did you mean 'dtype'"):
        VllmAdapter().check_options((("dtypes", "auto"),))


def test_metrics_become_load() -> None:
    labels = '{engine="0",model_name="smollm2"}'
    text = f"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{labels} 0.0
potluck_requests_in_flight 3.0
vllm:num_requests_waiting{labels} 1.0
vllm:num_requests_waiting_by_reason{{engine="0",model_name="smollm2",reason="capacity"}} 1.0
vllm:kv_cache_usage_perc{labels} 0.25
vllm:prompt_tokens_total{labels} 37.0
vllm:prompt_tokens_created{labels} 1.7e+09
vllm:generation_tokens_total{labels} 8.0
vllm:iteration_tokens_total_count{labels} 9.0
vllm:cache_config_info{{block_size="128",kv_cache_memory_bytes="3145728",num_gpu_blocks="6"}} 1.0
"""

    assert VllmAdapter().parse_load(text) == EngineLoad(
        running=2,
        waiting=1,
        kv_used=0.25,
        prompt_tokens_total=37,
        output_tokens_total=8,
        steps_total=9,
        cache_bytes=3 << 20,
    )
    assert VllmAdapter().parse_load("") == EngineLoad()


@pytest.mark.parametrize(("in_flight", "waiting", "running"), [(0, 0, 0), (0, 1, 0), (1, 0, 1), (2, 2, 1), (3, 1, 2)])
def test_while_a_request_is_in_flight_one_runs_whatever_vllms_gauges_say(
    in_flight: int, waiting: int, running: int
) -> None:
    text = f"potluck_requests_in_flight {in_flight}\nvllm:num_requests_waiting {waiting}\n"

    assert VllmAdapter().parse_load(text).running == running


@pytest.mark.parametrize("purpose", ["embed", "rerank"])
def test_a_model_for_vectors_or_ranks_pools_and_has_room_for_a_whole_text(purpose: Purpose) -> None:
    argv = VllmAdapter().command(replace(LAUNCH, purpose=purpose, whole_tokens=2048)).argv

    assert argv[argv.index("--runner") + 1] == "pooling"
    assert argv[argv.index("--max-num-batched-tokens") + 1] == "2048"
    assert "--runner" not in VllmAdapter().command(LAUNCH).argv


def test_a_model_without_a_cache_does_not_ask_a_cpu_server_for_nearly_all_its_memory() -> None:
    encoder = replace(LAUNCH, purpose="embed", whole_tokens=256, kv_cache_bytes=None)

    assert value(encoder, "--kv-cache-memory-bytes") == "1"
    assert value(replace(encoder, accelerated=True), "--kv-cache-memory-bytes") is None
