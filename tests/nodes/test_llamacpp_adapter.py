"""The llama.cpp adapter: what runs, with which words, and what its metrics say."""

from dataclasses import replace

import pytest

from inventory.catalog import HeldModel
from inventory.hardware import Hardware, Host
from nodes.engines.base import EngineLaunch, EngineOptionError
from nodes.engines.llamacpp import OPTIONS, LlamaCppAdapter
from nodes.snapshot import EngineLoad
from support.launches import a_launch
from support.nodes import spec

LINUX = Hardware(Host("linux", "12", "x86_64", None, 2, 2, "boot"), (), (), None, None)
MODEL = HeldModel(spec().model, "gguf", 1, 1, 2048, frozenset({"chat"}))
LAUNCH = a_launch("llamacpp", "/models/smollm2.gguf")


def words(launch: EngineLaunch) -> dict[str, str]:
    argv = LlamaCppAdapter().command(launch).argv[3:]
    return dict(zip(argv[::2], argv[1::2], strict=True))


def test_it_runs_gguf_on_linux_and_macos_and_says_why_not_otherwise() -> None:
    adapter = LlamaCppAdapter()

    assert adapter.why_not(MODEL, LINUX) is None
    assert "reads GGUF" in str(adapter.why_not(replace(MODEL, format="mlx"), LINUX))
    assert "not on windows" in str(adapter.why_not(MODEL, replace(LINUX, host=replace(LINUX.host, os="windows"))))


def test_the_total_context_is_that_of_each_request_times_the_slots() -> None:
    assert (words(LAUNCH)["--context"], words(LAUNCH)["--slots"]) == ("8192", "4")


def test_requests_that_share_a_cache_have_a_context_each_in_it() -> None:
    shared = words(replace(LAUNCH, cache_tokens=5000))

    assert (shared["--context"], shared["--slot-context"], shared["--slots"]) == ("5000", "2048", "4")
    assert "--slot-context" not in words(LAUNCH)


def test_the_secret_goes_by_file_and_the_environment_is_offline_and_isolated() -> None:
    command = LlamaCppAdapter().command(LAUNCH)

    assert words(LAUNCH)["--api-key-file"] == "/state/secrets/engine"
    assert command.argv[:2] == ("/engines/llamacpp/bin/python", "-I")
    assert dict(command.environment)["PYTHONSAFEPATH"] == "1"
    assert dict(command.environment)["HF_HUB_OFFLINE"] == "1"
    assert command.working_dir == "/state"


def test_prompt_batches_are_small_on_a_cpu_unless_said_otherwise() -> None:
    assert words(LAUNCH)["--batch-tokens"] == "128"
    assert words(replace(LAUNCH, accelerated=True))["--batch-tokens"] == "1024"
    assert words(replace(LAUNCH, options=(("batch-tokens", "64"),)))["--batch-tokens"] == "64"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("thread", "2", "did you mean 'threads'"),
        ("zzz", "2", "it has batch-tokens"),
        ("threads", "two", "not a whole number"),
        ("threads", "-2", "less than -1"),
        ("threads", "²", "not a whole number"),
        ("kv-type", "q2", "none of f16, q8_0"),
    ],
)
def test_an_option_it_does_not_have_is_an_error_that_names_it(option: str, value: str, message: str) -> None:
    with pytest.raises(EngineOptionError, match=message) as caught:
        LlamaCppAdapter().check_options(((option, value),))
    assert caught.value.option == option


def test_every_default_is_itself_a_valid_value() -> None:
    LlamaCppAdapter().check_options(tuple((option.name, option.default) for option in OPTIONS))


def test_metrics_become_load_and_what_is_not_exported_stays_unknown() -> None:
    text = """# HELP llamacpp:prompt_tokens_total Number of prompt tokens
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 1417
llamacpp:tokens_predicted_total 5e1
llamacpp:n_decode_total 73
llamacpp:requests_processing 2
llamacpp:requests_deferred{slot="a b"} 1
llamacpp:requests_deferred{slot="c"} 2
llamacpp:n_tokens_max nan
half a line
"""

    assert LlamaCppAdapter().parse_load(text) == EngineLoad(
        running=2, waiting=3, prompt_tokens_total=1417, output_tokens_total=50, steps_total=73
    )
    assert LlamaCppAdapter().parse_load("") == EngineLoad()


def test_a_model_for_vectors_or_ranks_is_started_for_them_and_evaluates_a_text_whole() -> None:
    embed = words(replace(LAUNCH, purpose="embed", whole_tokens=512))
    rerank = words(replace(LAUNCH, purpose="rerank", options=(("pooling", "cls"),)))

    assert (embed["--purpose"], embed["--pooling"], embed["--batch-tokens"]) == ("embed", "auto", "512")
    assert (rerank["--purpose"], rerank["--pooling"], rerank["--batch-tokens"]) == ("rerank", "cls", "128")
    assert words(LAUNCH)["--purpose"] == "write"
