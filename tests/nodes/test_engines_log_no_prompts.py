"""No engine is started such that it writes prompts into its log: what its command line and environment say of logs."""

import ast
from pathlib import Path

import pytest

from nodes.engines.base import EngineAdapter
from nodes.engines.encoder import EncoderAdapter
from nodes.engines.llamacpp import LlamaCppAdapter
from nodes.engines.mlx import MlxAdapter
from nodes.engines.vllm import VllmAdapter
from nodes.process import INHERITED
from support.launches import a_launch

ADAPTERS = (EncoderAdapter(), LlamaCppAdapter(), MlxAdapter(), VllmAdapter())
SERVERS = Path(__file__).parents[2] / "nodes" / "engines"
TURNED_UP = ("LLAMA_LOG", "LLAMA_ARG_LOG", "LLAMA_ARG_VERBOS", "VLLM_LOGGING", "VLLM_DEBUG", "VLLM_LOG", "UVICORN")


def test_vllm_and_mlx_are_told_to_log_no_requests() -> None:
    vllm = VllmAdapter().command(a_launch("vllm", "/models/smollm2")).argv
    mlx = MlxAdapter().command(a_launch("mlx", "/models/smollm2")).argv

    assert "--no-enable-log-requests" in vllm and "--disable-uvicorn-access-log" in vllm
    assert not {"--enable-log-requests", "--enable-log-outputs"} & set(vllm)
    assert mlx[mlx.index("--log-level") + 1] == "CRITICAL"


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.kind)
def test_no_environment_turns_a_log_up_neither_ours_nor_that_of_whoever_starts_the_node(adapter: EngineAdapter) -> None:
    given = [name for name, _ in adapter.command(a_launch(adapter.kind, "/models/smollm2")).environment]

    assert not [name for name in (*given, *INHERITED) if name.startswith(TURNED_UP)]


def test_llamacpp_has_no_option_for_it_and_its_script_keeps_to_errors_before_it_waits_for_requests() -> None:
    argv = LlamaCppAdapter().command(a_launch("llamacpp", "/models/smollm2.gguf")).argv
    script = ast.parse((SERVERS / "llamacpp_server.py").read_text())
    main = next(one for one in script.body if isinstance(one, ast.FunctionDef) and one.name == "main")
    done = [ast.unparse(one) for one in main.body]

    assert not [word for word in argv if word.startswith(("--log", "--verbos", "-v"))]
    assert done.index("keep_to_errors()") == done.index("threading.Event().wait()") - 1


def test_the_encoders_server_logs_no_access() -> None:
    script = ast.parse((SERVERS / "encoder_server.py").read_text())
    (config,) = [
        one for one in ast.walk(script) if isinstance(one, ast.Call) and ast.unparse(one.func) == "uvicorn.Config"
    ]
    said = {
        word.arg: ast.literal_eval(word.value) for word in config.keywords if word.arg in ("log_level", "access_log")
    }

    assert said == {"log_level": "critical", "access_log": False}
