"""What keeps libraries silent: every known leak is off, and no proxy leads around that."""

from inventory.offline import OFFLINE, SEALED, SILENT, sealed_environment
from nodes.engines.base import EngineLaunch
from nodes.engines.encoder import EncoderAdapter
from nodes.engines.llamacpp import LlamaCppAdapter
from nodes.engines.mlx import MlxAdapter
from nodes.engines.vllm import VllmAdapter
from nodes.snapshot import EngineId

LAUNCH = EngineLaunch(
    EngineId("m.box.1"), "/models/m", "m", 9000, 2048, 2, None, "/env/python", "/state", "/env/cache", False
)


def test_every_known_leak_is_off_in_every_engine() -> None:
    for adapter in (LlamaCppAdapter(), VllmAdapter(), MlxAdapter(), EncoderAdapter()):
        assert set(OFFLINE) <= set(adapter.command(LAUNCH).environment), adapter.kind


def test_each_list_holds_the_one_before() -> None:
    assert set(SILENT) < set(OFFLINE) < set(SEALED)


def test_a_sealed_process_has_no_proxy_and_keeps_everything_else() -> None:
    made = sealed_environment(
        {"HTTPS_PROXY": "http://p", "all_proxy": "socks5://p", "PATH": "/bin", "HF_HUB_OFFLINE": "0"}
    )

    assert {"HTTPS_PROXY", "all_proxy"}.isdisjoint(made)
    assert (made["PATH"], made["HF_HUB_OFFLINE"], made["NO_PROXY"]) == ("/bin", "1", "*")
